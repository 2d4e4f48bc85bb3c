//! Packages as pkg_create makes them: an archive whose first entry is `+CONTENTS`, the list of what belongs where.
//!
//! Files go to the directory that `@cwd` names before them, with the owner, group and mode of the last directives; the
//! package's own files go to `/var/db/pkg/NAME`, where the guest's pkg_info and pkg_delete find them.  Its commands are
//! run by [`script`](super::script): `+REQUIRE`, `+INSTALL NAME PRE-INSTALL` and the directories of `+MTREE_DIRS` before the
//! first file, `@exec` and `+INSTALL NAME POST-INSTALL` behind the last one.  pkg_add runs each `@exec` at its place in the
//! list, when the files before it have come; here all have.
//!
//! 2.1 counterpart: usr.sbin/pkg_install (lib/plist.c, add/extract.c, add/perform.c).

use std::collections::HashMap;
use std::path::Path;

use super::script::{Outcome, Scripts};
use super::write::{Item, What, Writer};
use super::{InstallError, Report};

/// Where the lists of packages are.
const DATABASE: &str = "var/db/pkg";
/// Where packages go that do not say so.
const PREFIX: &str = "/usr/local";
/// Most bytes of a file of users or groups that are looked at.
const MOST_NAMES: u64 = 1 << 20;

/// Where a file belongs, and what it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    path: Vec<u8>,
    mode: Option<u16>,
    /// It belongs to somebody else than the super-user.
    owner: Option<(u32, u32)>,
}

/// What a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Package {
    name: String,
    /// The first directory that is named.
    prefix: Option<String>,
    places: HashMap<Vec<u8>, Place>,
    commands: Vec<String>,
    needs: Vec<String>,
    /// Names of users and groups that nobody has.
    unknown: Vec<String>,
    /// A file that is shown to people.
    display: Option<String>,
    /// Its own files that have come so far.
    own: Vec<String>,
    begun: bool,
}

/// Numbers of the users and groups that packages name (etc/master.passwd and etc/group of 2.1), for roots that do not
/// say: name, as a user, as a group.
const NUMBERS: [(&str, Option<u32>, Option<u32>); 12] = [
    ("root", Some(0), None),
    ("wheel", None, Some(0)),
    ("daemon", Some(1), Some(1)),
    ("operator", Some(2), Some(5)),
    ("bin", Some(3), Some(7)),
    ("games", Some(7), Some(13)),
    ("kmem", Some(5), Some(2)),
    ("tty", None, Some(4)),
    ("news", Some(8), Some(8)),
    ("man", Some(9), Some(9)),
    ("uucp", Some(66), Some(66)),
    ("nobody", Some(65534), Some(65534)),
];

/// Users and groups of a root.
#[derive(Debug, Default)]
struct Names {
    users: String,
    groups: String,
}

impl Names {
    fn of(writer: &mut Writer) -> Self {
        let mut text = |path: &str| {
            let bytes = writer.content(path.as_bytes(), MOST_NAMES).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let users = text("etc/master.passwd") + "\n" + &text("etc/passwd");
        Self { users, groups: text("etc/group") }
    }

    fn number(&self, name: &str, group: bool) -> Option<u32> {
        if let Ok(number) = name.parse() {
            return Some(number);
        }
        let lines = if group { &self.groups } else { &self.users };
        let said = lines.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None }
        });
        let known = || {
            let (_, user, of_group) = NUMBERS.iter().find(|(known, ..)| *known == name)?;
            if group { *of_group } else { *user }
        };
        said.or_else(known)
    }
}

impl Package {
    /// Reads the list of a package that goes into a root; `fallback` is its name where the list has none.
    pub(super) fn read(fallback: &str, list: &[u8], writer: &mut Writer) -> Self {
        Self::with_names(fallback, list, &Names::of(writer))
    }

    fn with_names(fallback: &str, list: &[u8], names: &Names) -> Self {
        let mut package = Self { name: fallback.to_owned(), ..Self::default() };
        let mut cwd = PREFIX.to_owned();
        let mut last = String::new();
        let (mut mode, mut user, mut group) = (None, None, None);
        let mut ignored = false;
        for line in list.split(|&c| c == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty()) {
            if let Some(directive) = line.strip_prefix(b"@") {
                let text = String::from_utf8_lossy(directive).into_owned();
                let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
                let rest = rest.trim();
                let mut number = |group| {
                    let number = names.number(rest, group);
                    if number.is_none() && !rest.is_empty() {
                        package.unknown.push(rest.to_owned());
                    }
                    number
                };
                match word {
                    "cwd" | "cd" => {
                        cwd = rest.to_owned();
                        package.prefix.get_or_insert_with(|| rest.to_owned());
                    }
                    "name" => package.name = one_component(rest).unwrap_or(package.name),
                    "mode" => mode = u16::from_str_radix(rest, 8).ok().map(|mode| mode & 0o7777),
                    "owner" => user = number(false),
                    "group" => group = number(true),
                    "exec" => package.commands.push(filled(rest, &cwd, &last)),
                    "pkgdep" => package.needs.push(rest.to_owned()),
                    "display" => package.display = Some(rest.to_owned()),
                    "ignore" => ignored = true,
                    _ => {}
                }
                continue;
            }
            if std::mem::take(&mut ignored) {
                continue;
            }
            last = String::from_utf8_lossy(line).into_owned();
            let owner = (user.is_some() || group.is_some()).then(|| (user.unwrap_or(0), group.unwrap_or(0)));
            let path = [cwd.as_bytes(), b"/", line].concat();
            package.places.insert(line.to_vec(), Place { path, mode, owner });
        }
        package
    }

    fn directory(&self) -> String {
        format!("{DATABASE}/{}", self.name)
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or(PREFIX)
    }

    /// Writes down the list itself.
    pub(super) fn begin(
        &self,
        list: &[u8],
        writer: &mut Writer,
        report: &mut Report,
    ) -> Result<(), InstallError> {
        let mut missing = |name: &&String| !writer.has(format!("{DATABASE}/{name}/+CONTENTS").as_bytes());
        let missing: Vec<&str> = self.needs.iter().filter(&mut missing).map(String::as_str).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            report.notes.push(format!("package {} needs: {missing}, which nobody has installed", self.name));
        }
        for name in &self.unknown {
            report.notes.push(format!("package {}: nobody is called {name} in this root", self.name));
        }
        writer.put(file(format!("{}/+CONTENTS", self.directory()), list), &mut &list[..])
    }

    /// Says where an entry of the archive belongs; whether the list knows it.
    pub(super) fn place(&mut self, path: &mut Vec<u8>, item: &mut Item) -> bool {
        let plain = path.strip_prefix(b"./").unwrap_or(path).to_vec();
        if is_own(&plain) {
            let name = String::from_utf8_lossy(&plain).into_owned();
            if ["+INSTALL", "+DEINSTALL", "+REQUIRE"].contains(&name.as_str()) {
                item.mode |= 0o111;
            }
            self.own.push(name);
            *path = [self.directory().as_bytes(), b"/", &plain].concat();
            return true;
        }
        let Some(place) = self.places.get(&plain) else { return false };
        *path = place.path.clone();
        if let What::Name(target) = &mut item.what {
            let known = self.places.get(target.strip_prefix(b"./").unwrap_or(target));
            *target = known.map_or_else(|| target.clone(), |place| place.path.clone());
        }
        if let Some(mode) = place.mode {
            item.mode = mode;
        }
        if let Some((uid, gid)) = place.owner {
            (item.uid, item.gid) = (uid, gid);
        }
        true
    }

    /// Asks the package whether it may come, and lets it prepare, before its first file.
    pub(super) fn before(
        &mut self,
        path: &[u8],
        scripts: &Scripts,
        writer: &Writer,
        report: &mut Report,
    ) -> Result<(), InstallError> {
        if self.begun || is_own(path.strip_prefix(b"./").unwrap_or(path)) {
            return Ok(());
        }
        self.begun = true;
        for (script, when) in [("+REQUIRE", "INSTALL"), ("+INSTALL", "PRE-INSTALL")] {
            if let Outcome::Failed(why) = self.script(script, when, scripts, report) {
                // What nobody has installed is in no list.
                self.command(&format!("cd / && rm -rf {}", quoted(&self.directory())), scripts, report);
                return Err(writer.failed(format!("its {script} refuses: {why}")));
            }
        }
        if self.own.iter().any(|name| name == "+MTREE_DIRS") {
            let line = format!(
                "mkdir -p {0} && mtree -U -f +MTREE_DIRS -d -e -p {0} >/dev/null",
                quoted(self.prefix())
            );
            self.command(&line, scripts, report);
        }
        Ok(())
    }

    /// Does what is left to do behind the last file.
    pub(super) fn end(
        &mut self,
        scripts: &Scripts,
        writer: &mut Writer,
        report: &mut Report,
    ) -> Result<(), InstallError> {
        self.before(b"", scripts, writer, report)?;
        for command in &self.commands {
            self.command(command, scripts, report);
        }
        if let Outcome::Failed(why) = self.script("+INSTALL", "POST-INSTALL", scripts, report) {
            report.notes.push(format!("package {}: +INSTALL POST-INSTALL: {why}", self.name));
        }
        if let Some(name) = &self.display
            && let Some(text) = writer.content(format!("{}/{name}", self.directory()).as_bytes(), MOST_NAMES)
        {
            self.says(&text, report);
        }
        for need in self.needs.iter().filter_map(|need| one_component(need)) {
            let list = format!("{DATABASE}/{need}/+REQUIRED_BY");
            if !writer.has(format!("{DATABASE}/{need}/+CONTENTS").as_bytes()) {
                continue;
            }
            let mut text = writer.content(list.as_bytes(), MOST_NAMES).unwrap_or_default();
            if !text.split(|&c| c == b'\n').any(|line| line == self.name.as_bytes()) {
                text.extend_from_slice(format!("{}\n", self.name).as_bytes());
                writer.put(file(list, &text), &mut &text[..])?;
            }
        }
        Ok(())
    }

    /// Runs one of the package's own programs, if it has come.
    fn script(&self, script: &str, when: &str, scripts: &Scripts, report: &mut Report) -> Outcome {
        if !self.own.iter().any(|name| name == script) {
            return Outcome::Done(Vec::new());
        }
        let line = format!("./{script} {} {when}", quoted(&self.name));
        self.run(&line, scripts, report)
    }

    fn command(&self, line: &str, scripts: &Scripts, report: &mut Report) {
        if let Outcome::Failed(why) = self.run(line, scripts, report) {
            report.notes.push(format!("package {}: {line}: {why}", self.name));
        }
    }

    fn run(&self, line: &str, scripts: &Scripts, report: &mut Report) -> Outcome {
        let directory = format!("/{}", self.directory());
        let outcome = scripts.run(line, Path::new(&directory), self.prefix());
        match &outcome {
            Outcome::Done(said) => self.says(said, report),
            Outcome::Failed(_) => {}
            Outcome::NotRun(why) => {
                report
                    .notes
                    .push(format!("package {}: was not run ({why}), in {directory}: {line}", self.name));
            }
        }
        outcome
    }

    /// Passes on what a package says to people.
    fn says(&self, text: &[u8], report: &mut Report) {
        for line in String::from_utf8_lossy(text).lines() {
            let plain: String =
                line.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
            report.notes.push(format!("{}: {plain}", self.name));
        }
    }
}

/// Whether a name is that of one of the package's own files.
fn is_own(path: &[u8]) -> bool {
    path.starts_with(b"+") && !path.contains(&b'/')
}

/// A file of the super-user with this content.
fn file(path: String, content: &[u8]) -> Item {
    Item {
        path: path.into_bytes(),
        what: What::File(content.len() as u64),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        flags: 0,
    }
}

/// A command with what its letters stand for: `%D` the directory, `%F` the last file, `%B` and `%f` the directory and the
/// last component of both together.
fn filled(command: &str, directory: &str, file: &str) -> String {
    let whole = format!("{directory}/{file}");
    let (above, last) = whole.rsplit_once('/').unwrap_or(("", &whole));
    let mut text = String::new();
    let mut letters = command.chars();
    while let Some(c) = letters.next() {
        match (c, letters.clone().next()) {
            ('%', Some(letter @ ('D' | 'F' | 'B' | 'f'))) => {
                letters.next();
                text += match letter {
                    'D' => directory,
                    'F' => file,
                    'B' => above,
                    _ => last,
                };
            }
            _ => text.push(c),
        }
    }
    text
}

/// A word as a shell takes it for itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A name that is one component of a path.
fn one_component(name: &str) -> Option<String> {
    (!name.is_empty() && !name.starts_with('.') && !name.contains('/')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_where_files_belong() {
        let list = b"@name bash-1.14.5\n@cwd /usr/local\n@comment x\nbin/bash\n@mode 4555\n@owner bin\n@group bin\nbin/su\n\
            @mode\n@owner\n@group\n@ignore\nnot/here\n@cwd /etc\nshells\n@exec echo hi\n@pkgdep readline\n";
        let mut package = Package::with_names("x", list, &Names::default());
        assert_eq!(package.name, "bash-1.14.5");
        assert_eq!((package.commands.len(), package.needs.len()), (1, 1));
        let item = Item {
            path: Vec::new(),
            what: What::File(1),
            mode: 0o644,
            uid: 9,
            gid: 9,
            mtime: (0, 0),
            flags: 0,
        };
        let mut place = |path: &str| {
            let (mut path, mut item) = (path.as_bytes().to_vec(), item.clone());
            let known = package.place(&mut path, &mut item);
            (known, String::from_utf8(path).unwrap(), item.mode, item.uid, item.gid)
        };
        assert_eq!(place("bin/bash"), (true, "/usr/local/bin/bash".to_owned(), 0o644, 9, 9));
        assert_eq!(place("bin/su"), (true, "/usr/local/bin/su".to_owned(), 0o4555, 3, 7));
        assert_eq!(place("shells"), (true, "/etc/shells".to_owned(), 0o644, 9, 9));
        assert_eq!(place("+DESC").1, "var/db/pkg/bash-1.14.5/+DESC");
        assert!(!place("not/here").0 && !place("../x").0);
        assert_eq!(Package::with_names("x", b"@name ../../etc\n", &Names::default()).name, "x");
    }

    #[test]
    fn commands_are_filled_in_and_names_are_those_of_the_root() {
        let list = b"@cwd /usr/local\nbin/x\n@exec ln -s %D/%F %B/%f.old; echo %%d 100%\n@owner ann\n@group staff\nbin/y\n\
            @owner nobody-knows\nbin/z\n";
        let names = Names {
            users: "root:*:0:0::0:0::/root:/bin/sh\nann:*:1000:20::0:0::/:/bin/sh\n".to_owned(),
            groups: "staff:*:20:root\n".to_owned(),
        };
        let package = Package::with_names("p", list, &names);
        assert_eq!(package.commands, ["ln -s /usr/local/bin/x /usr/local/bin/x.old; echo %%d 100%"]);
        assert_eq!(package.places[&b"bin/y"[..]].owner, Some((1000, 20)));
        assert_eq!(package.unknown, ["nobody-knows"]);
        assert_eq!(quoted("a'b"), "'a'\\''b'");
    }
}
