//! Large buffers that begin on a cache line: our own, and parts of memory that is shared.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

/// Bytes of a cache line, which no vector register exceeds.
pub(crate) const LINE: usize = 64;

/// How far ahead a stream of reads asks for memory, into the first cache. The out-of-order window
/// alone sees about 1 KiB of a kernel that is dense; measured best between 1 and 1.5 KiB.
#[cfg(target_arch = "x86_64")]
const NEAR_BYTES: usize = 1280;

/// How far ahead it asks for it into the second cache, which waits for more lines at once than the
/// first: the same place of the next small page, where the processor's own prefetching has not
/// begun. The two together stream 1.2 times as much as the first alone and 1.1 times as much as the
/// second (Sapphire Rapids); of 2 to 12 KiB this is best in large pages and in small ones.
#[cfg(target_arch = "x86_64")]
const FAR_BYTES: usize = 4096;

/// Asks for `count` bytes that a stream of reads, now at `at`, will reach soon. A prefetch never
/// faults: any address will do.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn ask_ahead(at: *const u8, count: usize) {
    for line in 0..count.div_ceil(LINE) {
        let at = at.wrapping_add(line * LINE);
        // SAFETY: a prefetch has no effect that a program could see, at any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(NEAR_BYTES).cast());
            _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(FAR_BYTES).cast());
        }
    }
}

/// Asks for a line, into the first cache.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn ask_for_line(address: *const u8) {
    // SAFETY: a prefetch has no effect that a program could see, at any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Asks for what a stream of reads will begin with: all that [`ask_ahead`] would have asked for by
/// then. Where one stream follows another elsewhere, the second would wait for it.
pub(crate) fn ask_for_begin(stream: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..FAR_BYTES).step_by(LINE) {
        // SAFETY: a prefetch has no effect that a program could see, at any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(stream.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = stream;
}

/// A fixed number of elements, the first at the start of a cache line unless they were a vector's.
pub(crate) struct AlignedBuffer<T> {
    elements: Vec<T>,
    start: usize,
    len: usize,
}

/// Numbers whose zeros the system hands out untouched, so that a large buffer takes memory only
/// as it fills. (For a general element `vec!` would write every one of them.)
pub(crate) trait Zero: Copy {
    /// `len` zeros.
    fn zeros(len: usize) -> Vec<Self>;
}

impl Zero for u8 {
    fn zeros(len: usize) -> Vec<u8> {
        vec![0; len]
    }
}

impl Zero for i8 {
    fn zeros(len: usize) -> Vec<i8> {
        vec![0; len]
    }
}

impl Zero for u16 {
    fn zeros(len: usize) -> Vec<u16> {
        vec![0; len]
    }
}

impl Zero for f32 {
    fn zeros(len: usize) -> Vec<f32> {
        vec![0.0; len]
    }
}

impl<T> Default for AlignedBuffer<T> {
    fn default() -> AlignedBuffer<T> {
        AlignedBuffer::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for AlignedBuffer<T> {
    fn from(elements: Vec<T>) -> AlignedBuffer<T> {
        AlignedBuffer { start: 0, len: elements.len(), elements }
    }
}

impl<T: Copy> AlignedBuffer<T> {
    /// `len` elements; those of a large page and more begin on one and lie in large pages if the
    /// system has them: rows are written a few columns at a time, and each row would be an address
    /// to look up. Elements of a size that never ends on a line begin anywhere.
    pub(crate) fn filled(len: usize, fill: T) -> AlignedBuffer<T> {
        let boundary = if len * size_of::<T>() < LARGE_PAGE { LINE } else { LARGE_PAGE };
        let spare = boundary / size_of::<T>();
        let elements = vec![fill; len + spare];
        let start = elements.as_ptr().align_offset(boundary);
        let buffer = AlignedBuffer { start: if start <= spare { start } else { 0 }, elements, len };
        if boundary == LARGE_PAGE {
            prefer_large_pages(&buffer, 0);
        }
        buffer
    }
}

impl<T> AlignedBuffer<T> {
    /// The elements.
    pub(crate) fn into_vec(self) -> Vec<T> {
        let AlignedBuffer { mut elements, start, len } = self;
        elements.truncate(start + len);
        elements.drain(..start);
        elements
    }
}

impl AlignedBuffer<f32> {
    /// The first `len` numbers of a buffer that grows to that; of no particular value.
    pub(crate) fn room(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = AlignedBuffer::zeros(len);
        }
        &mut self[..len]
    }
}

impl<T: Zero> AlignedBuffer<T> {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> AlignedBuffer<T> {
        let elements = T::zeros(len + LINE / size_of::<T>());
        let start = elements.as_ptr().align_offset(LINE);
        AlignedBuffer { elements, start, len }
    }

    /// The same where what is first used comes first and much is read at a time: in large pages of
    /// memory if the system has them. Reads of half a gigabyte are 1.15 times as fast (Sapphire
    /// Rapids in a virtual machine), as far fewer addresses must be looked up.
    pub(crate) fn zeros_to_stream(len: usize) -> AlignedBuffer<T> {
        let buffer = AlignedBuffer::zeros(len);
        prefer_large_pages(&buffer, SMALL_PAGES);
        buffer
    }
}

/// Bytes of a large page, of memory or of a file.
pub const LARGE_PAGE: usize = 2 << 20;

/// So many bytes at the start of a buffer to stream stay in small pages, which are taken one by
/// one: a buffer of which little is used then takes little, any other a quarter too much at most.
const SMALL_PAGES: usize = 4 * LARGE_PAGE;

/// Asks for large pages in all of `buffer` but its first `but` bytes. Without them only speed is
/// lost.
#[cfg(target_os = "linux")]
fn prefer_large_pages<T>(buffer: &[T], but: usize) {
    let bytes = buffer.as_ptr_range();
    let start = bytes.start.cast::<u8>().wrapping_add(but);
    let start = start.wrapping_add(start.align_offset(LARGE_PAGE));
    let len = bytes.end.addr().saturating_sub(start.addr()) / LARGE_PAGE * LARGE_PAGE;
    if len > 0 {
        // SAFETY: advice about whole pages inside of a buffer of ours changes nothing that a
        // program could see.
        unsafe { libc::madvise(start.cast_mut().cast(), len, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn prefer_large_pages<T>(_: &[T], _: usize) {}

impl<T> Deref for AlignedBuffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[self.start..][..self.len]
    }
}

impl<T> DerefMut for AlignedBuffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..][..self.len]
    }
}

/// Numbers that can leave this process.
pub(crate) trait Stored: Copy {
    /// Their bytes, the lowest first.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;

    fn bytes(self) -> Self::Bytes;

    fn of(bytes: Self::Bytes) -> Self;
}

impl Stored for u8 {
    type Bytes = [u8; 1];

    fn bytes(self) -> [u8; 1] {
        [self]
    }

    fn of([byte]: [u8; 1]) -> u8 {
        byte
    }
}

impl Stored for i8 {
    type Bytes = [u8; 1];

    fn bytes(self) -> [u8; 1] {
        self.to_le_bytes()
    }

    fn of(bytes: [u8; 1]) -> i8 {
        i8::from_le_bytes(bytes)
    }
}

impl Stored for u16 {
    type Bytes = [u8; 2];

    fn bytes(self) -> [u8; 2] {
        self.to_le_bytes()
    }

    fn of(bytes: [u8; 2]) -> u16 {
        u16::from_le_bytes(bytes)
    }
}

impl Stored for f32 {
    type Bytes = [u8; 4];

    fn bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }

    fn of(bytes: [u8; 4]) -> f32 {
        f32::from_le_bytes(bytes)
    }
}

/// Appends the bytes of `numbers`.
pub(crate) fn put<T: Stored>(numbers: &[T], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + size_of_val(numbers), 0);
    let each = bytes[start..].chunks_exact_mut(size_of::<T>());
    each.zip(numbers).for_each(|(out, number)| out.copy_from_slice(number.bytes().as_ref()));
}

/// Sets `numbers` to the bytes that `bytes` begins with, and gives the rest of them.
pub(crate) fn take<'a, T: Stored>(numbers: &mut [T], bytes: &'a [u8]) -> &'a [u8] {
    let (own, rest) = bytes.split_at(size_of_val(numbers));
    for (number, bytes) in numbers.iter_mut().zip(own.chunks_exact(size_of::<T>())) {
        let Ok(bytes) = bytes.try_into() else { unreachable!("pieces of one number each") };
        *number = T::of(bytes);
    }
    rest
}

/// Memory that many matrices may lie in, such as a mapped file.
///
/// # Safety
/// Every call of `bytes` must give the same memory, which stays where it is for as long as the
/// value lives, wherever the value itself is moved; nobody of this process writes to it.
pub unsafe trait StableBytes: Send + Sync + 'static {
    /// All of it.
    fn bytes(&self) -> &[u8];
}

/// A part of [`StableBytes`] that begins on a cache line, and a share in their life.
#[derive(Clone)]
pub struct SharedBytes {
    start: *const u8,
    len: usize,
    _owner: Arc<dyn StableBytes>,
}

// SAFETY: what `start` points to is only read, and its owner may be shared and dropped by any
// thread.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// The bytes `range` of `owner`; `None` where it has no such bytes or they do not begin on a
    /// cache line.
    pub fn new(owner: Arc<dyn StableBytes>, range: Range<usize>) -> Option<SharedBytes> {
        let bytes = owner.bytes().get(range)?;
        let (start, len) = (bytes.as_ptr(), bytes.len());
        start.addr().is_multiple_of(LINE).then_some(SharedBytes { start, len, _owner: owner })
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `len` were a slice of the owner's memory, which by the promise of
        // `StableBytes` stays where it is, unwritten, while `_owner` lives.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: the buffer's heap memory does not move with it, and behind a shared reference nothing
    // gives out a mutable one.
    unsafe impl StableBytes for AlignedBuffer<u8> {
        fn bytes(&self) -> &[u8] {
            self
        }
    }

    #[test]
    fn a_part_of_a_buffer_outlives_its_other_shares_and_begins_on_a_line() {
        let mut buffer = AlignedBuffer::zeros(8 * LINE);
        buffer[2 * LINE] = 7;
        let owner: Arc<dyn StableBytes> = Arc::new(buffer);
        let part = SharedBytes::new(owner.clone(), 2 * LINE..4 * LINE).unwrap();
        assert!(SharedBytes::new(owner.clone(), 1..LINE).is_none(), "not on a line");
        assert!(SharedBytes::new(owner.clone(), 0..8 * LINE + 1).is_none(), "beyond the end");
        drop(owner);
        assert_eq!((part.len(), part[0], part[1]), (2 * LINE, 7, 0));
    }

    #[test]
    fn a_buffer_begins_on_a_cache_line_and_is_zero() {
        for len in [0, 1, 1000, 1 << 20] {
            let mut floats = AlignedBuffer::<f32>::zeros(len);
            let halves = AlignedBuffer::<u16>::zeros(len);
            assert_eq!(floats.as_ptr().addr() % LINE, 0);
            assert_eq!(halves.as_ptr().addr() % LINE, 0);
            assert_eq!((floats.len(), halves.len()), (len, len));
            assert!(floats.iter().all(|&x| x == 0.0) && halves.iter().all(|&x| x == 0));
            floats.fill(1.0);
        }
    }

    #[test]
    fn a_filled_buffer_begins_on_a_line_or_a_large_page_and_becomes_a_vector() {
        for (len, boundary) in
            [(0, LINE), (1000, LINE), (1 << 19, LARGE_PAGE), (3 << 19, LARGE_PAGE)]
        {
            let mut buffer = AlignedBuffer::filled(len, 3.0f32);
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % boundary), (len, 0));
            assert!(buffer.iter().all(|&x| x == 3.0));
            if let Some(last) = buffer.last_mut() {
                *last = 4.0;
            }
            let elements = buffer.into_vec();
            assert_eq!(elements.len(), len);
            assert!(elements.last().is_none_or(|&last| last == 4.0));
        }
    }

    #[test]
    fn a_buffer_in_large_pages_is_like_any_other() {
        for len in [0, 1000, (9 << 20) + 1, 31 << 20] {
            let mut bytes = AlignedBuffer::<u8>::zeros_to_stream(len);
            assert_eq!((bytes.len(), bytes.as_ptr().addr() % LINE), (len, 0));
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(1);
            assert!(bytes.iter().all(|&byte| byte == 1));
        }
    }
}
