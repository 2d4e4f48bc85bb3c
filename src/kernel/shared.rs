//! What several objects of the kernel have in common, and have in common in a copy of the kernel, too.
//!
//! A file's inode belongs to all of its vnodes.  Where the kernel is [copied](together), each such thing is copied
//! once, and whoever had it in common has the copy in common.  At any other time a clone is one more reference.
//!
//! 2.1 counterpart: none; nobody copies a kernel.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Copies that have been made, by the address of what they are copies of.
type Copies = HashMap<usize, Rc<dyn Any>>;

thread_local! {
    /// While everything is being copied.
    static COPIES: RefCell<Option<Copies>> = const { RefCell::new(None) };
}

/// Has all that is cloned in `act` be one copy: what was in common is so among the clones, and apart from the rest.
pub(in crate::kernel) fn together<T>(act: impl FnOnce() -> T) -> T {
    COPIES.set(Some(HashMap::new()));
    let made = act();
    COPIES.set(None);
    made
}

/// A reference to something that several objects have in common.
pub struct Shared<T>(Rc<T>);

impl<T> Shared<T> {
    /// Something that nobody else has yet.
    pub fn new(value: T) -> Self {
        Self(Rc::new(value))
    }

    /// Whether two references are to the same.
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Clone + 'static> Clone for Shared<T> {
    fn clone(&self) -> Self {
        let key = Rc::as_ptr(&self.0).addr();
        let known = COPIES.with_borrow(|copies| copies.as_ref().map(|copies| copies.get(&key).cloned()));
        let Some(known) = known else { return Self(Rc::clone(&self.0)) };
        // An address stands for one thing of one type as long as that lives, which is as long as it is being copied.
        if let Some(copy) = known.and_then(|copy| copy.downcast::<T>().ok()) {
            return Self(copy);
        }
        let copy = Rc::new(T::clone(&self.0));
        COPIES.with_borrow_mut(|copies| {
            copies.get_or_insert_default().insert(key, Rc::clone(&copy) as Rc<dyn Any>)
        });
        Self(copy)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that one kernel has and its copies do not: who listens, what leads to the host.
#[derive(Debug, Default)]
pub struct Alone<T>(T);

impl<T: Default> Clone for Alone<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> Deref for Alone<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Alone<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_copy_keeps_what_was_in_common_and_is_apart() {
        let one = Shared::new(Cell::new(1));
        let pair = [one.clone(), one.clone(), Shared::new(Cell::new(1))];
        assert!(pair[0].same(&one));
        let copy = together(|| pair.clone());
        assert!(copy[0].same(&copy[1]) && !copy[0].same(&copy[2]) && !copy[0].same(&one));
        copy[1].set(7);
        assert_eq!((copy[0].get(), one.get(), pair[1].get()), (7, 1, 1));
    }
}
