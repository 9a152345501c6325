//! How much memory there is for this process: the machine's, or the container's if that is less.

use std::path::{Path, PathBuf};

/// Octets of memory that there are for this process; `None` where nobody says.
pub fn available() -> Option<u64> {
    available_below(Path::new("/"))
}

/// As [`available`]; `root` is `/`.
fn available_below(root: &Path) -> Option<u64> {
    let machine = read(&root.join("proc/meminfo")).and_then(|text| total(&text));
    machine.into_iter().chain(container(root)).min()
}

/// `MemTotal` in /proc/meminfo, which counts in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of this process's control group and those around it, of both versions.
fn container(root: &Path) -> Option<u64> {
    let groups = read(&root.join("proc/self/cgroup"))?;
    groups.lines().filter_map(|line| group_limit(root, line)).min()
}

/// The limit that a line of /proc/self/cgroup leads to: `0::/path` (version 2) or `7:memory:/path` (version 1).
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, file) = match (number, controllers) {
        ("0", "") => ("sys/fs/cgroup", "memory.max"),
        (_, controllers) if controllers.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        (_, _) => return None,
    };
    let mount = root.join(mount);
    // Within a container the path may be that of the host: then only the top is there to be read.
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let files = groups.map(|group| mount.join(group).join(file));
    files.filter_map(|file: PathBuf| limit(&read(&file)?)).min()
}

/// `max` in version 2, a number beyond all memories in version 1: no limit.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A root directory with these files.
    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:  1 kB\n");
    const MACHINE: u64 = 8_000_000 * 1024;

    #[test]
    fn without_a_container_it_is_the_machine_s() {
        let root = root(&[MEMINFO, ("proc/self/cgroup", "0::/user.slice\n")]);
        assert_eq!(available_below(root.path()), Some(MACHINE));
    }

    #[test]
    fn a_container_s_limit_counts_if_it_is_less() {
        let group = ("proc/self/cgroup", "0::/\n");
        let limited = root(&[MEMINFO, group, ("sys/fs/cgroup/memory.max", "536870912\n")]);
        assert_eq!(available_below(limited.path()), Some(512 << 20));
        let beyond = root(&[MEMINFO, group, ("sys/fs/cgroup/memory.max", "99999999999999\n")]);
        assert_eq!(available_below(beyond.path()), Some(MACHINE));
        let unlimited = root(&[MEMINFO, group, ("sys/fs/cgroup/memory.max", "max\n")]);
        assert_eq!(available_below(unlimited.path()), Some(MACHINE));
    }

    #[test]
    fn a_limit_of_a_group_around_counts_too() {
        let root = root(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000000\n"),
        ]);
        assert_eq!(available_below(root.path()), Some(1_000_000));
    }

    #[test]
    fn version_1_is_read_as_well() {
        let root = root(&[
            MEMINFO,
            ("proc/self/cgroup", "8:cpu,cpuacct:/docker/1\n7:memory:/docker/1\n0::/docker/1\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n"),
        ]);
        assert_eq!(available_below(root.path()), Some(2_000_000));
        assert_eq!(limit("9223372036854771712\n"), None);
    }

    #[test]
    fn where_nobody_says_nothing_is_known() {
        assert_eq!(available_below(TempDir::new().unwrap().path()), None);
    }
}
