//! Volumes of our own making, and what damage does to them: an error, never a panic, never an end without end.

use std::collections::HashSet;

use super::*;

/// Made by fixtures/media/make.sh: one with Rock Ridge, one without.
const ROCK: &[u8] = include_bytes!("../../fixtures/media/rock.iso");
const PLAIN: &[u8] = include_bytes!("../../fixtures/media/plain.iso");

fn open(bytes: &[u8]) -> Volume {
    Volume::open(Box::new(bytes.to_vec()), Options::default()).unwrap()
}

fn find(volume: &Volume, path: &str) -> Node {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.fold(volume.root().clone(), |node, part| {
        volume.look_up(&node, part.as_bytes()).unwrap().unwrap_or_else(|| panic!("no {part} of {path}"))
    })
}

fn text(volume: &Volume, node: &Node) -> String {
    let mut bytes = vec![0; node.attributes.size as usize + 10];
    let length = volume.read(node, 0, &mut bytes).unwrap();
    bytes.truncate(length);
    String::from_utf8(bytes).unwrap()
}

fn names(volume: &Volume, node: &Node) -> Vec<String> {
    let entries = volume.read_dir(node).unwrap();
    entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
}

/// Everything that can be reached, each directory once, and what is in it.
fn walk(volume: &Volume) -> Result<usize, IsoError> {
    let mut seen = HashSet::new();
    let mut waiting = vec![volume.root().clone()];
    let mut count = 0;
    while let Some(directory) = waiting.pop() {
        if !seen.insert(directory.id) {
            continue;
        }
        for entry in volume.read_dir(&directory)? {
            count += 1;
            if entry.node.is_directory() {
                waiting.push(entry.node);
                continue;
            }
            let mut piece = [0; 512];
            volume.read(&entry.node, 0, &mut piece)?;
            volume.read(&entry.node, entry.node.attributes.size.saturating_sub(100), &mut piece)?;
        }
    }
    volume.path_table()?;
    Ok(count)
}

#[test]
fn rock_ridge_has_names_owners_modes_links_and_devices() {
    let volume = open(ROCK);
    assert_eq!((volume.format(), volume.name()), (Format::RockRidge, &b"ROCK"[..]));
    let file = find(&volume, "bin/Mixed_Case.and.a-long-name");
    let attributes = file.attributes;
    assert_eq!(text(&volume, &file), "a file\n");
    assert_eq!((attributes.mode, attributes.owner), (0o4755, Owned { uid: 3, gid: 7 }));
    assert_eq!((attributes.kind, attributes.mtime, attributes.size), (Kind::File, 816_352_496, 7));
    let link = find(&volume, "etc/link");
    assert_eq!(link.link.as_deref(), Some(&b"../bin/Mixed_Case.and.a-long-name"[..]));
    assert_eq!(find(&volume, "etc/absolute").link.as_deref(), Some(&b"/etc/passwd"[..]));
    let long = find(&volume, "etc/long").link.unwrap();
    assert_eq!(long.len(), 602, "a text that goes on in further areas");
    let device = find(&volume, "dev/tty9").attributes;
    assert_eq!((device.kind, device.rdev, device.mode), (Kind::Character, 0x0c09, 0o620));
    assert_eq!(find(&volume, "dev/wd0a").attributes.kind, Kind::Block);
    assert_eq!(find(&volume, "dev/pipe").attributes.kind, Kind::Fifo);
    let (one, other) = (find(&volume, "bin/one"), find(&volume, "bin/other"));
    assert_eq!(one.shared(), other.shared());
    assert!(one.shared().is_some() && file.shared().is_none());
}

#[test]
fn directories_that_are_too_deep_are_found_in_their_places() {
    let volume = open(ROCK);
    let deep = find(&volume, "d1/d2/d3/d4/d5/d6/d7/d8/d9/bottom");
    assert_eq!(text(&volume, &deep), "deep\n");
    let moved = names(&volume, volume.root()).into_iter().find(|name| name.eq_ignore_ascii_case("rr_moved"));
    if let Some(moved) = moved {
        assert_eq!(names(&volume, &find(&volume, &moved)), Vec::<String>::new());
    }
}

#[test]
fn without_rock_ridge_names_are_small_and_have_no_version() {
    let volume = open(PLAIN);
    assert_eq!(volume.format(), Format::Plain);
    assert_eq!(names(&volume, volume.root()), ["bin", "readme.txt"]);
    for name in ["readme.txt", "README.TXT", "readme.txt;1"] {
        assert_eq!(text(&volume, &find(&volume, name)), "read me\n", "{name}");
    }
    let file = find(&volume, "bin/bin.aa").attributes;
    assert_eq!((file.mode, file.owner, file.links), (0o555, Owned { uid: 0, gid: 0 }, 1));
    assert!(volume.look_up(volume.root(), b"readme.txt;2").unwrap().is_none());
    let all = Options { generations: true, ..Options::default() };
    let volume = Volume::open(Box::new(PLAIN.to_vec()), all).unwrap();
    assert_eq!(names(&volume, volume.root()), ["BIN", "README.TXT;1"]);
}

#[test]
fn rock_ridge_can_be_left_out() {
    let options = Options { no_rock_ridge: true, ..Options::default() };
    let volume = Volume::open(Box::new(ROCK.to_vec()), options).unwrap();
    assert_eq!(volume.format(), Format::Plain);
    assert!(names(&volume, volume.root()).contains(&"rr_moved".to_owned()));
}

#[test]
fn the_path_table_has_every_directory() {
    for bytes in [ROCK, PLAIN] {
        let volume = open(bytes);
        let mut reached = HashSet::new();
        let mut waiting = vec![volume.root().clone()];
        while let Some(directory) = waiting.pop() {
            reached.insert(directory.id);
            let entries = volume.read_dir(&directory).unwrap();
            waiting.extend(entries.into_iter().map(|e| e.node).filter(Node::is_directory));
        }
        // The place of those that had to be somewhere is shown to nobody.
        let table =
            volume.path_table().unwrap().into_iter().filter(|directory| directory.name != b"RR_MOVED");
        assert_eq!(table.map(|directory| directory.id).collect::<HashSet<_>>(), reached);
    }
}

/// Where the record of a name begins, somewhere on a volume.
fn record_of(bytes: &[u8], name: &[u8]) -> usize {
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    at - 33
}

#[test]
fn a_file_may_go_on_in_further_records() {
    let mut bytes = PLAIN.to_vec();
    let (first, second) = (record_of(&bytes, b"BIN.AA;1"), record_of(&bytes, b"BIN.AB;1"));
    bytes[first + 25] |= 0x80;
    bytes.copy_within(first + 33..first + 41, second + 33);
    let volume = open(&bytes);
    let file = find(&volume, "bin/bin.aa");
    assert_eq!(names(&volume, &find(&volume, "bin")), ["bin.aa", "checksum"]);
    assert_eq!(text(&volume, &file), "first half, second half\n");
    let mut piece = [0; 8];
    assert_eq!(volume.read(&file, 9, &mut piece).unwrap(), 8);
    assert_eq!(&piece, b"f, secon");
    assert_eq!(volume.read(&file, 24, &mut piece).unwrap(), 0);
}

#[test]
fn a_directory_that_leads_to_itself_is_a_directory() {
    let mut bytes = PLAIN.to_vec();
    let directory = record_of(&bytes, b"BIN");
    let volume = open(&bytes);
    let root = u32::try_from(volume.root().id / 2048).unwrap();
    bytes[directory + 2..directory + 6].copy_from_slice(&root.to_le_bytes());
    let volume = open(&bytes);
    assert_eq!(find(&volume, "bin/bin/bin").id, volume.root().id);
    assert_eq!(walk(&volume).unwrap(), 2);
}

#[test]
fn names_that_are_no_names_are_damage() {
    let mut bytes = ROCK.to_vec();
    let at = bytes.windows(5).position(|w| w == b"other").unwrap();
    bytes[at..at + 5].copy_from_slice(b"../x/");
    let volume = open(&bytes);
    assert!(matches!(volume.read_dir(&find(&volume, "bin")), Err(IsoError::Damaged { .. })));
}

#[test]
fn a_truncated_volume_says_where_it_ends() {
    for bytes in [ROCK, PLAIN] {
        for end in (0..bytes.len()).step_by(1024) {
            let opened = Volume::open(Box::new(bytes[..end].to_vec()), Options::default());
            match opened.and_then(|volume| walk(&volume)) {
                Err(IsoError::Truncated(at)) => assert!(at >= end as u64),
                Err(IsoError::NotAVolume) => assert!(end <= 17 * 2048),
                // Only what nothing leads to is missing.
                Ok(_) => assert!(end + 400 * 2048 > bytes.len()),
                // A text of a link that goes on where nothing is any more.
                Err(IsoError::Damaged { .. }) => {}
                Err(other) => panic!("{other} at {end}"),
            }
        }
    }
}

#[test]
fn every_byte_of_a_volume_may_be_wrong() {
    let options = Options { extended_attributes: true, mounted_on: b"/cdrom".to_vec(), ..Options::default() };
    for bytes in [ROCK, PLAIN] {
        let used = bytes.len();
        for at in 16 * 2048..used {
            // Beyond the descriptors every byte of the directories and tables counts, and few of what is in files.
            if bytes[at] == 0 && at % 7 != 0 {
                continue;
            }
            let mut wrong = bytes.to_vec();
            for value in [!bytes[at], bytes[at] ^ 0x80, 0] {
                wrong[at] = value;
                if let Ok(volume) = Volume::open(Box::new(wrong.clone()), options.clone()) {
                    let _ = walk(&volume);
                }
            }
        }
    }
}
