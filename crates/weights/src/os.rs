//! Memory-mapped files: the only file of this crate that asks the operating system for more than
//! plain reads, and the only one where `unsafe` may stand.
//!
//! A mapping costs no memory until it is touched. What has been touched counts as resident until
//! it is released, so a loader that packs weights into its own memory calls
//! [`MappedFile::release`] behind itself and never holds the checkpoint twice.
#![expect(unsafe_code, reason = "mapping a file and dropping its pages are unsafe in memmap2")]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use baimo_kernels::{LARGE_PAGE, StableBytes};

use crate::error::{Error, Report};

/// A whole file, read-only, in the address space.
///
/// Limit: the mapping is of the file, not of a copy. Where another process overwrites the file
/// during a load, the bytes seen here change; where it truncates the file, Unix stops the process
/// with `SIGBUS`. No portable lock prevents either. Every checkpoint format is written once and
/// renamed or downloaded whole, which leaves a mapping of the old file intact.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: memmap2::Mmap,
    /// Open for its advisory lock: see [`MappedFile::open_in_use`].
    _locked: Option<File>,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// If it cannot be opened, is not a regular file, or is empty.
    pub fn open(path: &Path) -> Result<MappedFile, Error> {
        MappedFile::map(path, &MappedFile::opened(path)?)
    }

    fn opened(path: &Path) -> Result<File, Error> {
        let failed = |action| move |source| Error::Io { file: path.to_path_buf(), action, source };
        // Asked before opening: opening a named pipe would wait for a writer for ever.
        let metadata = std::fs::metadata(path).map_err(failed("open"))?;
        if !metadata.is_file() {
            return Err(
                Report::new(path, "path", "no regular file", "a file of weights").malformed()
            );
        }
        if metadata.len() == 0 {
            let hint = "was the download cut off?";
            return Err(Report::new(path, "file", "0 bytes", "weights").hint(hint).malformed());
        }
        File::open(path).map_err(failed("open"))
    }

    fn map(path: &Path, file: &File) -> Result<MappedFile, Error> {
        let failed = |source| Error::Io { file: path.to_path_buf(), action: "map", source };
        // SAFETY: the map is read-only and private to this value, and every slice lent from it
        // borrows this value. What remains is that the bytes may change under us if another
        // process writes to the file: parsers therefore check the bytes they read and keep the
        // checked values, never trusting a second read, and tensor bytes are plain numbers for
        // which every bit pattern is valid.
        let map = unsafe { memmap2::Mmap::map(file) }.map_err(failed)?;
        // Tensors are read front to back once: the system may read far ahead. Advice that is
        // refused costs nothing but speed.
        #[cfg(unix)]
        let _refused = map.advise(memmap2::Advice::Sequential);
        Ok(MappedFile { path: path.to_path_buf(), map, _locked: None })
    }

    /// Maps the file at `path`, of which any part may be wanted next. As long as this value lives,
    /// the file has a shared advisory lock, where its file system knows such: it is in use.
    ///
    /// # Errors
    /// As [`MappedFile::open`].
    pub fn open_in_use(path: &Path) -> Result<MappedFile, Error> {
        let file = MappedFile::opened(path)?;
        let mapped = MappedFile::map(path, &file)?;
        // Whoever has it alone is removing it, or has just put it there: either is brief. What was
        // removed stays mapped.
        let _unknown = file.lock_shared();
        Ok(mapped.in_use(file))
    }

    /// Maps the file that was just written at `path` by way of `file`, whose lock, of whichever
    /// kind, it keeps; of it any part may be wanted next.
    ///
    /// # Errors
    /// If it cannot be mapped.
    pub fn of_written(path: &Path, file: File) -> Result<MappedFile, Error> {
        Ok(MappedFile::map(path, &file)?.in_use(file))
    }

    fn in_use(self, file: File) -> MappedFile {
        #[cfg(unix)]
        let _refused = self.map.advise(memmap2::Advice::Normal);
        MappedFile { _locked: Some(file), ..self }
    }

    /// Asks the system to read the file by large pages, where it has such for files (Linux with
    /// ext4 from 6.16 on): finding small ones costs a tenth of the time in which weights stream by.
    pub fn use_large_pages(&self) {
        #[cfg(target_os = "linux")]
        let _refused = self.map.advise(memmap2::Advice::HugePage);
    }

    /// Asks the system not to map by large pages, so that parts of them can come and go.
    pub fn use_small_pages(&self) {
        #[cfg(target_os = "linux")]
        let _refused = self.map.advise(memmap2::Advice::NoHugePage);
    }

    /// Asks the system to read `range`, without waiting for it.
    pub fn begin(&self, range: Range<usize>) {
        #[cfg(unix)]
        let _refused = self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Reads `range` and maps it into this process. Where the system has no such request (it is
    /// Linux's, from 5.14 on), its pages come as they are touched.
    ///
    /// # Errors
    /// If it cannot be read; touching it would then stop the process.
    pub fn bring(&self, range: Range<usize>) -> std::io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            let advice = memmap2::Advice::PopulateRead;
            match self.map.advise_range(advice, range.start, range.len()) {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
                other => other,
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = range;
            Ok(())
        }
    }

    /// Lets whole pages of `range` leave memory, this process's and the system's, unlike
    /// [`MappedFile::release`], after which the system may keep them.
    pub fn send_away(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        {
            let bytes = &self.map[range];
            // SAFETY: the advice takes pages of a mapping that is alive and read-only; whoever
            // touches them again finds the same bytes. What is no whole page at the ends, or
            // refused, stays.
            let _refused = unsafe {
                let start = bytes.as_ptr().cast_mut().cast();
                libc::madvise(start, bytes.len(), libc::MADV_PAGEOUT)
            };
        }
        #[cfg(not(target_os = "linux"))]
        self.release(range);
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Drops the pages that reading `range` brought in from this process's resident memory: those
    /// it touches and those the system mapped around them. Reading them again is allowed, also by
    /// a neighbour on the same page, and brings them back.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if !range.is_empty() {
            // Linux from 6.18 on maps all of a large page when a part is touched, where its bytes
            // were written or read together. Without the margin, the first page of every piece
            // that is read leaves some of the piece before it resident again, which adds up over a
            // checkpoint.
            let start = range.start / LARGE_PAGE * LARGE_PAGE;
            let end = range.end.next_multiple_of(LARGE_PAGE).min(self.map.len());
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the pages belong to a read-only file mapping, so nothing written can be
            // lost: the next read takes the same bytes from the file again.
            let _refused = unsafe { self.map.unchecked_advise_range(advice, start, end - start) };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

// SAFETY: the map is made once and dropped with this value; it does not move with it, and no code
// of this crate writes to it.
unsafe impl StableBytes for MappedFile {
    fn bytes(&self) -> &[u8] {
        MappedFile::bytes(self)
    }
}

/// Bytes that may still be written to the file system of `folder`, or `None` where the system does
/// not tell.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    fs4::available_space(folder).ok()
}

/// Brings `file`, written at `part`, to its `place`: first the bytes are on the disk, then they
/// have their name, so that a file of that name is whole even if the power fails.
pub(crate) fn land(file: &File, part: &Path, place: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    std::fs::rename(part, place)?;
    #[cfg(unix)]
    File::open(folder_of(place))?.sync_all()?;
    Ok(())
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes of this process that are in memory now, or `None` where the system does not tell
/// (elsewhere than on Linux).
pub fn resident_bytes() -> Option<u64> {
    linux_bytes("/proc/self/status", "VmRSS")
}

/// Bytes that a line of one of Linux's tables tells, such as `MemTotal` of `/proc/meminfo`; `None`
/// where there is no such table or line.
pub fn linux_bytes(table: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(table).ok()?;
    let rows = text.lines().filter_map(|line| line.split_once(':'));
    let (_, told) = rows.into_iter().find(|(name, _)| *name == key)?;
    let kibibytes: u64 = told.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
