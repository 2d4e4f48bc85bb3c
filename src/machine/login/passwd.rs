//! The root's files about people: passwd and group.
//!
//! 2.1 counterpart: passwd(5), group(5), initgroups(3).

/// A line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passwd {
    pub(super) name: Vec<u8>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: Vec<u8>,
    pub(super) shell: Vec<u8>,
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = file.split(|&c| c == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    lines.map(|line| line.split(|&c| c == b':').collect())
}

/// The entry of a name; master.passwd has three fields more.
pub(super) fn find(file: &[u8], name: &[u8]) -> Option<Passwd> {
    lines(file).find_map(|fields| {
        let [found, _, uid, gid, rest @ ..] = fields.as_slice() else { return None };
        if *found != name {
            return None;
        }
        let (home, shell) = match rest {
            [_, _, _, _, home, shell, ..] | [_, home, shell] => (*home, *shell),
            [_, home] => (*home, &b""[..]),
            _ => return None,
        };
        let (home, shell) = (home.to_vec(), shell.trim_ascii_end().to_vec());
        Some(Passwd { name: name.to_vec(), uid: number(uid)?, gid: number(gid)?, home, shell })
    })
}

/// The groups in whose lists a name is.
pub(super) fn groups(file: &[u8], name: &[u8]) -> Vec<u32> {
    let member = |fields: Vec<&[u8]>| {
        let [_, _, gid, members, ..] = fields.as_slice() else { return None };
        let is_in = members.split(|&c| c == b',').any(|member| member.trim_ascii() == name);
        if is_in { number(gid) } else { None }
    };
    lines(file).filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_in_both_forms() {
        let file =
            b"# people\nroot:*:0:10:Charlie &:/root:/bin/csh\ntoor:*:0:10:Other:/root:\nbad:*:x:1:a:b:c\n";
        let root = find(file, b"root").unwrap();
        assert_eq!(
            (root.uid, root.gid, &root.home[..], &root.shell[..]),
            (0, 10, &b"/root"[..], &b"/bin/csh"[..])
        );
        assert_eq!(find(file, b"toor").unwrap().shell, b"");
        assert!(find(file, b"bad").is_none() && find(file, b"roo").is_none());
        let master = find(b"ken:x:11:31::0:0:& Thompson:/usr/ken:/bin/sh\n", b"ken").unwrap();
        assert_eq!((&master.home[..], &master.shell[..]), (&b"/usr/ken"[..], &b"/bin/sh"[..]));
    }

    #[test]
    fn groups_are_those_that_list_a_name() {
        let file = b"wheel:*:0:root,bill\nkmem:*:2:root\nbin:*:7:\nstaff:*:20:bill, root\nnogroup:*:32766:\n";
        assert_eq!(groups(file, b"root"), [0, 2, 20]);
        assert_eq!(groups(file, b"nobody"), [0u32; 0]);
    }
}
