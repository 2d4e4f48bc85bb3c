//! What the host says of itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that the host could give to programs now, as far as it says: of all of it, and of the control
/// group that this process is in.
pub fn free_memory() -> Option<u64> {
    let host = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    [host, group_memory()].into_iter().flatten().min()
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// What the limit of the control group leaves; file pages that can be dropped are free.
fn group_memory() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let name = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group: PathBuf = Path::new("/sys/fs/cgroup").join(name);
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let stat = fs::read_to_string(group.join("memory.stat")).ok()?;
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    let used = number("memory.current")?.saturating_sub(files.unwrap_or(0));
    Some(number("memory.max")?.saturating_sub(used))
}

/// The host's name.
pub fn node_name() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_what_the_host_says() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   1234 kB\n"), Some(1234 << 10));
        assert_eq!(available("MemFree: 1 kB\n"), None);
        if Path::new("/proc/meminfo").exists() {
            assert!(free_memory().is_some_and(|bytes| bytes > 0));
        }
    }
}
