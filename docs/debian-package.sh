#!/usr/bin/env bash
# Builds the package for Debian with its manual pages and completions: target/debian/bsd21_VERSION_ARCH.deb.
# Needs cargo-deb (cargo install cargo-deb).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --quiet
program=target/release/bsd21
man=target/debian/man
rm -rf "$man"
mkdir -p "$man"
"$program" generate man --directory "$man"
"$program" generate bash > target/debian/bsd21.bash
"$program" generate zsh > target/debian/_bsd21
"$program" generate fish > target/debian/bsd21.fish
cargo deb --no-build --no-strip
