//! A file of 64-bit words, mapped into this process: the only `unsafe` of the crate.

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// A mapped file. What one process writes, all others see.
pub(crate) struct Shared {
    map: MmapRaw,
    words: usize,
}

impl Shared {
    /// Map the first `words` words of a file that is open for reading and writing and has at least that many: the
    /// caller has checked its length, since reading a page beyond its end would end the process.
    pub(crate) fn map(file: &File, words: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(words * size_of::<u64>()).map_raw(file)?;
        Ok(Self { map, words })
    }

    /// The words.
    #[expect(unsafe_code, reason = "a slice over memory that the compiler did not hand out")]
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins at a page, so it is aligned; it has `words` words (`map` asked for so many and
        // succeeded) and lives as long as `self`, from which the slice borrows. Every bit pattern is an `AtomicU64`,
        // and everyone, here and in other processes, reaches the memory through such slices only.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.words) }
    }
}
