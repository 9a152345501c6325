//! The operating system's files.

use std::any::Any;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, lchown};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{Env, File, OpenMode};

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealEnv;

/// What [`Env::elapsed`] counts from.
static START: OnceLock<Instant> = OnceLock::new();

impl Env for RealEnv {
    #[expect(clippy::disallowed_methods, reason = "how long a disk takes is for figures only")]
    fn elapsed(&self) -> Duration {
        START.get_or_init(Instant::now).elapsed()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let is_missing = |level: &&Path| !level.as_os_str().is_empty() && !level.exists();
        let made: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        fs::create_dir_all(path)?;
        for level in made.into_iter().rev() {
            let parent = level.parent().filter(|parent| !parent.as_os_str().is_empty());
            match self.sync_dir(parent.unwrap_or_else(|| Path::new("."))) {
                // A folder in which one may make others and not look: nobody but the system can sync it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let create = mode == OpenMode::Create;
        let write = mode != OpenMode::Read;
        let file =
            fs::OpenOptions::new().read(true).write(write).create(create).truncate(create).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        fs::copy(from, to)?;
        fs::File::open(to)?.sync_all()
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(io::Error::from)?;
        // For people: a full disk must not keep the broker from starting.
        let _written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Box::new(Locked(file)))
    }

    fn own_like(&self, path: &Path, like: &Path) -> io::Result<()> {
        if rustix::process::geteuid().is_root() { give(path, &fs::metadata(like)?) } else { Ok(()) }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A locked file. Closing it would not be enough: a process that is being started at this moment has a copy of it until
/// it becomes another program.
struct Locked(fs::File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Whoever cannot be told goes by the closing.
        let _unlocked = self.0.unlock();
    }
}

fn give(path: &Path, like: &fs::Metadata) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if (found.uid(), found.gid()) != (like.uid(), like.gid()) {
        match lchown(path, Some(like.uid()), Some(like.gid())) {
            // Root in name only: what it has made is as good as it can be.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            given => given?,
        }
        if found.is_dir() {
            fs::set_permissions(path, like.permissions())?;
        }
    }
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), like)?;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: also the length, which is metadata needed to read the data back.
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_owner_though_a_process_under_way_has_a_copy_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let open = || fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).unwrap();
        let file = open();
        file.try_lock().unwrap();
        let _copy = file.try_clone().unwrap();
        assert!(open().try_lock().is_err());
        drop(Locked(file));
        assert!(RealEnv.lock(&path).is_ok());
    }
}
