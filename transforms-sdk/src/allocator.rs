//! The allocator of a transform: free lists by size class, fast for the many small values of every row.
//!
//! A call passes hundreds of small texts and lists in and out; with `std`'s allocator on WASM, allocation is
//! most of the cost of a simple transform. Here, free blocks of up to 512 bytes are in lists by size, one
//! list per 16 bytes: allocating takes the first block of its list, freeing puts it back. Blocks are never
//! searched, split or joined. Larger blocks come from `std`'s allocator, and so do the slabs that small
//! blocks are cut from.
//!
//! Freed blocks stay in the list of their size, so that memory does not grow from call to call: it is bounded
//! by the largest need per size. If a slab cannot be allocated, the allocation fails as usual, so the host's
//! memory limit applies.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};

/// Sizes and addresses of small blocks are multiples of this.
const UNIT: usize = 16;

/// The number of sizes of small blocks.
const SIZES: usize = 32;

/// The largest small block, in bytes.
const SMALL: usize = UNIT * SIZES;

/// The size of a slab, from which small blocks are cut, in bytes.
const SLAB: usize = 16 << 10;

/// A free block: it contains the address of the next free block of its size.
struct Free(Option<NonNull<Free>>);

/// Free blocks by size, and the unused rest of the newest slab.
struct Lists {
    free: [Option<NonNull<Free>>; SIZES],
    next: *mut u8,
    left: usize,
}

/// Allocates small blocks from lists and all others from `Large`.
pub struct Allocator<Large> {
    large: Large,
    lists: UnsafeCell<Lists>,
}

// SAFETY: statics must be `Sync`. On WASM without shared memory, as the target of transforms is, there is one
// thread. Elsewhere there is no such static.
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
unsafe impl<Large> Sync for Allocator<Large> {}

impl<Large: GlobalAlloc> Allocator<Large> {
    /// Returns an allocator without free blocks.
    pub const fn new(large: Large) -> Self {
        Self { large, lists: UnsafeCell::new(Lists { free: [None; SIZES], next: ptr::null_mut(), left: 0 }) }
    }

    /// Returns the index of the list for a layout. `None` if the layout is not small.
    const fn list(layout: Layout) -> Option<usize> {
        if layout.size() <= SMALL && layout.align() <= UNIT && layout.size() > 0 {
            Some((layout.size() - 1) / UNIT)
        } else {
            None
        }
    }

    /// Cuts a block for the empty list `list`. Null if no memory is available.
    #[cold]
    fn cut(&self, list: usize) -> *mut u8 {
        let size = (list + 1) * UNIT;
        // SAFETY: no other reference to the lists exists: there is one thread, and `large` does not call back.
        let lists = unsafe { &mut *self.lists.get() };
        if lists.left < size {
            // SAFETY: the unit is a power of two, and a slab is neither empty nor too large.
            let slab = unsafe { self.large.alloc(Layout::from_size_align_unchecked(SLAB, UNIT)) };
            if slab.is_null() {
                return slab;
            }
            // Keep the rest of the previous slab as a free block: sizes are multiples of the unit.
            if let Some(rest) = NonNull::new(lists.next.cast::<Free>()).filter(|_| lists.left > 0) {
                let list = &mut lists.free[lists.left / UNIT - 1];
                // SAFETY: the block belongs to this allocator, is large enough for a pointer, and aligned to the unit.
                unsafe { rest.write(Free(list.take())) };
                *list = Some(rest);
            }
            (lists.next, lists.left) = (slab, SLAB);
        }
        let block = lists.next;
        // SAFETY: `left`, which is at least `size`, counts what follows `next` in the slab.
        lists.next = unsafe { block.add(size) };
        lists.left -= size;
        block
    }
}

// SAFETY: small blocks are cut from slabs without overlap and handed out by one list at a time; a block is as
// large as its list says, which is at least what was asked for, and aligned to `UNIT`. The list follows from
// the layout alone, which callers give unchanged when they give a block back.
unsafe impl<Large: GlobalAlloc> GlobalAlloc for Allocator<Large> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = Self::list(layout) else {
            // SAFETY: guaranteed by the caller.
            return unsafe { self.large.alloc(layout) };
        };
        // SAFETY: as in `cut`.
        let first = unsafe { &mut (*self.lists.get()).free[list] };
        match *first {
            Some(block) => {
                // SAFETY: a block in a list is free and contains the address of the next.
                *first = unsafe { block.read() }.0;
                block.as_ptr().cast()
            }
            None => self.cut(list),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (Some(list), Some(block)) = (Self::list(layout), NonNull::new(block.cast::<Free>())) else {
            // SAFETY: guaranteed by the caller.
            return unsafe { self.large.dealloc(block, layout) };
        };
        // SAFETY: as in `cut`.
        let first = unsafe { &mut (*self.lists.get()).free[list] };
        // SAFETY: the caller has freed the block; it is large enough for a pointer, and aligned to the unit.
        unsafe { block.write(Free(first.take())) };
        *first = Some(block);
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::list(layout).is_none() {
            // New memory is zero already, and `std`'s allocator knows which memory is new.
            // SAFETY: guaranteed by the caller.
            return unsafe { self.large.alloc_zeroed(layout) };
        }
        // SAFETY: guaranteed by the caller.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block has at least this size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: callers guarantee a valid size for a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (Self::list(layout), Self::list(new)) {
            (None, None) => {
                // SAFETY: guaranteed by the caller.
                unsafe { self.large.realloc(block, layout, size) }
            }
            (Some(from), Some(to)) if from == to => block,
            _ => {
                // SAFETY: guaranteed by the caller.
                let moved = unsafe { self.alloc(new) };
                if !moved.is_null() {
                    // SAFETY: both blocks have this size, and one of them is new, so they do not overlap.
                    unsafe {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::cell::{Cell, RefCell};
    use std::collections::HashMap;

    use super::*;

    /// Counts and limits allocations of `std`'s allocator. Blocks that were not freed, such as slabs, are at the end.
    struct Counted {
        bytes: Cell<usize>,
        limit: usize,
        blocks: RefCell<HashMap<*mut u8, Layout>>,
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            for (block, layout) in self.blocks.take() {
                unsafe { System.dealloc(block, layout) };
            }
        }
    }

    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if self.bytes.get() + layout.size() > self.limit {
                return ptr::null_mut();
            }
            self.bytes.set(self.bytes.get() + layout.size());
            let block = unsafe { System.alloc(layout) };
            self.blocks.borrow_mut().insert(block, layout);
            block
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.bytes.set(self.bytes.get() - layout.size());
            assert_eq!(self.blocks.borrow_mut().remove(&block), Some(layout));
            unsafe { System.dealloc(block, layout) }
        }
    }

    fn allocator(limit: usize) -> Allocator<Counted> {
        Allocator::new(Counted { bytes: Cell::new(0), limit, blocks: RefCell::default() })
    }

    /// A block in use, filled with a byte that identifies it.
    struct Block {
        at: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Block {
        fn new(allocator: &Allocator<Counted>, size: usize, align: usize, mark: u8) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            let at = if mark.is_multiple_of(2) {
                unsafe { allocator.alloc(layout) }
            } else {
                let at = unsafe { allocator.alloc_zeroed(layout) };
                let bytes = unsafe { std::slice::from_raw_parts(at, size) };
                assert!(bytes.iter().all(|byte| *byte == 0));
                at
            };
            assert!(!at.is_null() && at.addr().is_multiple_of(align));
            unsafe { at.write_bytes(mark, size) };
            Self { at, layout, mark }
        }

        fn check(&self, size: usize) {
            let bytes = unsafe { std::slice::from_raw_parts(self.at, size) };
            assert!(bytes.iter().all(|byte| *byte == self.mark), "another block overlaps this one");
        }

        fn resize(&mut self, allocator: &Allocator<Counted>, size: usize) {
            let at = unsafe { allocator.realloc(self.at, self.layout, size) };
            assert!(!at.is_null() && at.addr().is_multiple_of(self.layout.align()));
            self.at = at;
            self.check(size.min(self.layout.size()));
            self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
            unsafe { at.write_bytes(self.mark, size) };
        }

        fn free(self, allocator: &Allocator<Counted>) {
            self.check(self.layout.size());
            unsafe { allocator.dealloc(self.at, self.layout) };
        }
    }

    /// Pseudorandom numbers, the same in every run.
    fn numbers() -> impl FnMut(usize) -> usize {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    #[test]
    fn blocks_in_use_never_share_a_byte_whatever_comes_and_goes() {
        let allocator = allocator(usize::MAX);
        let mut number = numbers();
        let mut blocks: Vec<Block> = Vec::new();
        for round in 0..if cfg!(miri) { 500 } else { 50_000 } {
            match number(4) {
                0 | 1 if blocks.len() < 500 => {
                    let largest = if number(10) == 0 { 5000 } else { SMALL + 40 };
                    let size = 1 + number(largest);
                    blocks.push(Block::new(&allocator, size, 1 << number(7), u8::try_from(round % 251).unwrap()));
                }
                2 if !blocks.is_empty() => {
                    let at = number(blocks.len());
                    blocks[at].resize(&allocator, 1 + number(SMALL * 2));
                }
                _ if !blocks.is_empty() => {
                    let at = number(blocks.len());
                    blocks.swap_remove(at).free(&allocator);
                }
                _ => {}
            }
        }
        for block in blocks {
            block.free(&allocator);
        }
    }

    #[test]
    fn memory_does_not_grow_from_batch_to_batch() {
        let allocator = allocator(usize::MAX);
        let batch = |rows: usize, mark: u8| {
            let blocks: Vec<_> = (0..rows).map(|row| Block::new(&allocator, 1 + (row * 7) % 700, 8, mark)).collect();
            for block in blocks {
                block.free(&allocator);
            }
        };
        batch(256, 1);
        let after_one = allocator.large.bytes.get();
        assert!(after_one < 256 * 700);
        for round in 0..if cfg!(miri) { 3 } else { 1000 } {
            batch(256, u8::try_from(round % 200).unwrap());
        }
        assert_eq!(allocator.large.bytes.get(), after_one);
    }

    #[test]
    fn large_blocks_are_given_back_whole() {
        let allocator = allocator(usize::MAX);
        let mut block = Block::new(&allocator, SMALL + 1, 16, 3);
        assert_eq!(allocator.large.bytes.get(), SMALL + 1);
        block.resize(&allocator, 1 << 15);
        assert_eq!(allocator.large.bytes.get(), 1 << 15);
        block.free(&allocator);
        Block::new(&allocator, 8, 4096, 4).free(&allocator);
        assert_eq!(allocator.large.bytes.get(), 0);
    }

    #[test]
    fn a_text_that_grows_by_single_bytes_is_moved_only_from_size_to_size() {
        let allocator = allocator(usize::MAX);
        let mut block = Block::new(&allocator, 1, 1, 5);
        let mut moves = 0;
        for size in 2..=SMALL {
            let before = block.at;
            block.resize(&allocator, size);
            moves += usize::from(block.at != before);
        }
        assert_eq!(moves, SIZES - 1);
        block.resize(&allocator, SMALL + 1);
        block.resize(&allocator, 4);
        block.free(&allocator);
        assert_eq!(allocator.large.bytes.get() % SLAB, 0);
    }

    #[test]
    fn at_the_limit_an_allocation_fails_and_what_is_in_use_stays() {
        let allocator = allocator(2 * SLAB);
        let layout = Layout::from_size_align(48, 8).unwrap();
        let mut blocks = Vec::new();
        loop {
            let at = unsafe { allocator.alloc(layout) };
            if at.is_null() {
                break;
            }
            unsafe { at.write_bytes(9, 48) };
            blocks.push(Block { at, layout, mark: 9 });
        }
        assert_eq!(blocks.len(), 2 * (SLAB / 48));
        let last = blocks.len() - 1;
        assert!(unsafe { allocator.realloc(blocks[last].at, layout, 100) }.is_null());
        assert!(unsafe { allocator.alloc_zeroed(layout) }.is_null());
        blocks.pop().unwrap().free(&allocator);
        blocks.push(Block::new(&allocator, 40, 8, 9));
        for block in blocks {
            block.free(&allocator);
        }
        // The rest of a slab can be used as a block of its own size.
        let rest = SLAB % 48;
        assert!(rest > 0);
        Block::new(&allocator, rest, 8, 2).free(&allocator);
    }
}
