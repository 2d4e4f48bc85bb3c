#!/usr/bin/env bash
# Builds the package for Debian with its manual pages, completions and patterns for binfmt_misc:
# bsd21_VERSION_ARCH.deb in the debian directory of target, or of CARGO_TARGET_DIR.
# Needs cargo-deb (cargo install cargo-deb).
set -euo pipefail
cd "$(dirname "$0")/.."

[ -n "${SKIP_BUILD:-}" ] || cargo build --release --quiet
program=${CARGO_TARGET_DIR:-target}/release/bsd21
made=target/debian
rm -rf "$made/man"
mkdir -p "$made/man"
"$program" generate man --directory "$made/man"
"$program" generate bash > "$made/bsd21.bash"
"$program" generate zsh > "$made/_bsd21"
"$program" generate fish > "$made/bsd21.fish"
# Programs of 2.1 start by their names: systemd-binfmt reads the patterns, which name this link.
ln -sf bsd21 "$made/bsd21-binfmt"
"$program" binfmt --print --link /usr/bin/bsd21-binfmt > "$made/bsd21.conf"
cargo deb --no-build --no-strip
