//! Packages, their commands, and what they ask for.

use std::fs;
use std::path::Path;

use super::world::*;
use bsd21::install::Options;

#[test]
fn a_package_goes_where_its_list_says() {
    let world = World::new();
    let list = b"@name bash-1.14.5\n@cwd /usr/local\nbin/bash\n@mode 4555\n@owner root\n@group bin\nbin/helper\n@exec echo hello\n@pkgdep readline-2.0\n";
    let package = Tar::default()
        .file("+CONTENTS", 0o644, list)
        .file("+DESC", 0o644, b"a shell")
        .file("+INSTALL", 0o755, b"#!/bin/sh\n")
        .file("bin/bash", 0o755, b"bash")
        .file("bin/helper", 0o755, b"helper")
        .file("../outside", 0o755, b"x")
        .file("not/in/the/list", 0o755, b"x")
        .end();
    let report = world.install(&world.put("bash.tgz", &gzip(&package))).unwrap();
    assert_eq!(world.text("usr/local/bin/bash"), "bash");
    let helper = world.stat("usr/local/bin/helper");
    assert_eq!((helper.mode, helper.uid, helper.gid), (0o4555, 0, 7));
    assert_eq!(world.text("var/db/pkg/bash-1.14.5/+CONTENTS").as_bytes(), list);
    assert_eq!(world.text("var/db/pkg/bash-1.14.5/+DESC"), "a shell");
    assert_eq!(report.refusals, 2);
    let notes = report.notes.join("\n");
    assert!(notes.contains("needs: readline-2.0, which nobody has installed"), "{notes}");
    // There is no shell in this root.
    for line in
        ["./+INSTALL 'bash-1.14.5' PRE-INSTALL", "echo hello", "./+INSTALL 'bash-1.14.5' POST-INSTALL"]
    {
        assert!(
            notes.contains(&format!(
                "was not run (the root has no /bin/sh that runs), in /var/db/pkg/bash-1.14.5: {line}"
            )),
            "{notes}"
        );
    }
    world.check_outside();
}

/// A root with the shell of the old tree.
fn with_shell(world: &World, tree: &Path) {
    let programs = ["sh", "cat", "echo", "ls", "mkdir", "ln", "chmod", "rm", "test", "["];
    let mut tar = Tar::default();
    for name in programs {
        if let Ok(bytes) = fs::read(tree.join("bin").join(name)) {
            tar = tar.file(&format!("bin/{name}"), 0o755, &bytes);
        }
    }
    world.install(&world.put("shell.tar", &tar.end())).unwrap();
}

#[test]
fn a_packages_commands_run_in_its_root_as_pkg_add_runs_them() {
    let Some(tree) = tree("a_packages_commands_run_in_its_root_as_pkg_add_runs_them") else { return };
    let world = World::new();
    with_shell(&world, &tree);
    let script = b"#!/bin/sh\necho $2 of $1 below $PKG_PREFIX\necho $1 $2 `echo *` >> /log\n";
    let list = b"@name two-2.0\n@cwd /usr/local\nbin/two\n@exec ln -s %F %B/other; echo exec %D %f >> /log\n@unexec rm -f %B/other\n\
        @display +DISPLAY\n@pkgdep one-1.0\n@comment no more\n";
    let one = Tar::default().file("+CONTENTS", 0o644, b"@name one-1.0\n").file("+DESC", 0o644, b"1").end();
    world.install(&world.put("one-1.0.tgz", &gzip(&one))).unwrap();
    let two = |require: &[u8]| {
        let package = Tar::default()
            .file("+CONTENTS", 0o644, list)
            .file("+COMMENT", 0o644, b"a test\n")
            .file("+INSTALL", 0o644, script)
            .file("+REQUIRE", 0o644, require)
            .file("+DISPLAY", 0o644, b"read the manual\n")
            .file("bin/two", 0o755, b"two")
            .end();
        gzip(&package)
    };
    let refused = world.install(&world.put("two-2.0.tgz", &two(b"#!/bin/sh\necho not here >&2; exit 3\n")));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("its +REQUIRE refuses: exit status 3 (not here)"), "{refused}");
    assert!(!world.has("usr/local/bin/two") && !world.has("log"), "no file of it comes before it agrees");
    assert!(!world.has("var/db/pkg/two-2.0"), "pkg_info does not know it");
    let report = world.install(&world.put("two-2.0.tgz", &two(b"#!/bin/sh\nexit 0\n"))).unwrap();
    assert_eq!(
        report.notes,
        [
            "two-2.0: PRE-INSTALL of two-2.0 below /usr/local",
            "two-2.0: POST-INSTALL of two-2.0 below /usr/local",
            "two-2.0: read the manual"
        ]
    );
    let own = "+COMMENT +CONTENTS +DISPLAY +INSTALL +REQUIRE";
    let log = format!("two-2.0 PRE-INSTALL {own}\nexec /usr/local two\ntwo-2.0 POST-INSTALL {own}\n");
    assert_eq!(world.text("log"), log);
    assert_eq!(fs::read_link(world.at("root/usr/local/bin/other")).unwrap(), Path::new("bin/two"));
    assert_eq!(world.text("var/db/pkg/one-1.0/+REQUIRED_BY"), "two-2.0\n");
    // None of it where somebody does not want it, and no harm by a package that means some.
    let hostile = Tar::default()
        .file(
            "+CONTENTS",
            0o644,
            b"@name bad\n@exec cat ../../../../../../sentinel; echo gone > /../../sentinel\n@exec exit 7\n",
        )
        .end();
    let hostile = world.put("bad.tgz", &gzip(&hostile));
    let quiet = Options { scripts: false, ..Options::default() };
    let notes = world.install_with(&hostile, &quiet).unwrap().notes.join("\n");
    assert!(notes.contains("was not run (--no-scripts)"), "{notes}");
    let notes = world.install(&hostile).unwrap().notes.join("\n");
    assert!(notes.contains("exit 7: exit status 7"), "{notes}");
    world.check_outside();
}

#[test]
fn sets_come_with_the_libraries_that_bin_asks_for() {
    let world = World::new();
    let dynamic = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/dynamic")).unwrap();
    let asked = bsd21::image::inspect::libraries(&dynamic);
    let [bsd21::image::inspect::Library::Versioned { name, major, minor }] = &asked[..] else {
        panic!("{asked:?}")
    };
    let older = format!("usr/lib/compat/lib{name}.so.{major}.{}", minor + 1);
    let bin = Tar::default().file("bin/hello", 0o755, &dynamic).file("usr/libexec/ld.so", 0o555, b"x").end();
    set(&world, "cd/bin", "bin", &gzip(&bin), 1 << 20);
    set(&world, "cd/games", "games", &gzip(&Tar::default().file("usr/games/x", 0o755, b"x").end()), 1 << 20);
    let other = Tar::default().file(&format!("usr/lib/lib{name}.so.{}.0", major + 1), 0o444, b"other").end();
    set(&world, "cd/compat1x", "compat1x", &gzip(&other), 1 << 20);
    set(
        &world,
        "cd/compat21",
        "compat21",
        &gzip(&Tar::default().file(&older, 0o444, b"older").end()),
        1 << 20,
    );
    let report = world.install(&world.at("in/cd")).unwrap();
    let names: Vec<&str> = report.done.iter().map(|done| done.name.as_str()).collect();
    assert_eq!(names, ["bin", "compat21"], "{report:?}");
    assert_eq!(report.notes, [format!("compat21: taken for lib{name}.so.{major}.{minor}")]);
    assert_eq!(report.others, ["compat1x", "games"]);
    // Who names sets gets those.
    let world2 = World::new();
    let options = Options { sets: vec!["bin".to_owned()], ..Options::default() };
    let source = world.at("in/cd");
    let report = world2.install_with(&source, &options).unwrap();
    assert_eq!(report.done.len(), 1, "{report:?}");
    // What nobody has is said.
    let world3 = World::new();
    set(&world3, "cd/bin", "bin", &gzip(&bin), 1 << 20);
    let report = world3.install(&world3.at("in/cd")).unwrap();
    assert_eq!(
        report.notes,
        [format!("programs ask for lib{name}.so.{major}.{minor}, which no set here has")]
    );
}
