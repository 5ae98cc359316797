//! A folder with files: made whole and checked before they are mapped.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::MapError;
use super::process::Process;
use super::shared::Shared;

/// Where the kind of the file stands.
const MAGIC: usize = 0;
/// Where the number of its words stands.
const WORDS: usize = 1;

/// A folder for this boot of the machine: the clock starts anew with the next one.
pub(crate) struct Folder {
    path: PathBuf,
    /// Names files that are being made so that no two processes, and no two threads, make the same one.
    me: Process,
    made: AtomicU64,
}

impl Folder {
    /// Make the folder if it is missing.
    pub(crate) fn open(directory: &Path, me: Process) -> Result<Self, MapError> {
        let path = directory.join(boot_id());
        let failed = |doing| failed(doing, &path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(failed("make a folder that workers share"))?;
        let found = fs::metadata(&path).map_err(failed("look at a folder that workers share"))?;
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
            return Err(MapError::NotOurs { path });
        }
        Ok(Self { path, me, made: AtomicU64::new(0) })
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Result<Vec<String>, MapError> {
        let read = fs::read_dir(&self.path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        });
        read.map_err(failed("read a folder that workers share", &self.path))
    }

    /// Map a file of a kind and a number of words. When it is missing it is made, whole, with what `fill` writes behind
    /// its header; when several processes make it at once, all of them map the first one's.
    pub(crate) fn map(
        &self,
        name: &str,
        magic: [u8; 8],
        words: usize,
        fill: impl FnOnce(&mut [u64]),
    ) -> Result<Shared, MapError> {
        let path = self.path_of(name);
        let header = (u64::from_le_bytes(magic), words as u64);
        match open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut content = vec![0; words];
                fill(&mut content);
                (content[MAGIC], content[WORDS]) = header;
                self.make(&path, &content)?;
                check(open(&path), &path, header)
            }
            found => check(found, &path, header),
        }
    }

    /// Every byte is written before the file gets its name: one that has a name is whole, and its space is taken, so
    /// that a disk which fills up later cannot end the process.
    fn make(&self, path: &Path, content: &[u64]) -> Result<(), MapError> {
        let nth = self.made.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.path_of(&format!(".{:x}.{nth}", self.me.0));
        let bytes: Vec<u8> = content.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| match fs::hard_link(&unfinished, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            });
        // It may be missing, when there was no room for its name; what counts is whether it was written.
        let _ = fs::remove_file(&unfinished);
        written.map_err(failed("make a file that workers share", path))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn check(file: io::Result<File>, path: &Path, header: (u64, u64)) -> Result<Shared, MapError> {
    let failed = |doing| failed(doing, path);
    let damaged = |what| MapError::Damaged { path: path.to_owned(), what };
    let file = file.map_err(failed("open a file that workers share"))?;
    let bytes = file.metadata().map_err(failed("look at a file that workers share"))?.len();
    if bytes != header.1 * size_of::<u64>() as u64 {
        return Err(damaged("its size is wrong"));
    }
    let words = usize::try_from(header.1).map_err(|_| damaged("its size is wrong"))?;
    let shared = Shared::map(&file, words).map_err(failed("map a file that workers share"))?;
    let found = shared.words();
    if (found[MAGIC].load(Ordering::Relaxed), found[WORDS].load(Ordering::Relaxed)) != header {
        return Err(damaged("its header is wrong"));
    }
    Ok(shared)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MapError {
    move |source| MapError::Io { doing, path: path.to_owned(), source }
}

/// Linux names each boot. Elsewhere stamps of an earlier boot are told by lying in the future, mostly.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "boot".to_owned(), |id| id.trim().to_owned())
}
