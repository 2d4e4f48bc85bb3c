//! Tables of kernel objects with typed, generational keys.
//!
//! A key outlives its object safely: looking it up again gives `None`.  Indexing with `[]` is for keys
//! that an invariant keeps alive, and panics otherwise.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The key of one object in an [`Arena`].
pub struct Id<T> {
    index: u32,
    generation: u32,
    object: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// The slot number: small, reused after the object is gone.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

#[cfg(test)]
impl<T> Id<T> {
    /// The key of whatever is in a slot first.
    pub(crate) fn of_slot(index: u32) -> Self {
        Self { index, generation: 0, object: PhantomData }
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.index.hash(state);
        self.generation.hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.index)
    }
}

#[derive(Clone, Debug)]
struct Entry<T> {
    generation: u32,
    object: Option<T>,
}

/// A table of objects of one kind; the lowest free slot is used first.
#[derive(Clone, Debug)]
pub struct Arena<T> {
    entries: Vec<Entry<T>>,
    /// No free slot lies below this one.
    first_free: usize,
    live: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), first_free: 0, live: 0 }
    }
}

impl<T> Arena<T> {
    /// Number of objects.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Adds an object.
    pub fn insert(&mut self, object: T) -> Id<T> {
        self.insert_with(|_| object)
    }

    /// Adds an object that holds its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Id<T>) -> T) -> Id<T> {
        let mut index = self.first_free;
        while self.entries.get(index).is_some_and(|e| e.object.is_some()) {
            index += 1;
        }
        if index == self.entries.len() {
            self.entries.push(Entry { generation: 0, object: None });
        }
        let id = Id { index: index as u32, generation: self.entries[index].generation, object: PhantomData };
        let object = make(id);
        self.entries[index].object = Some(object);
        self.first_free = index + 1;
        self.live += 1;
        id
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        let entry = self.entries.get_mut(id.index())?;
        if entry.generation != id.generation {
            return None;
        }
        let object = entry.object.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.first_free = self.first_free.min(id.index());
        self.live -= 1;
        Some(object)
    }

    /// The object, if it still exists.
    #[inline(always)]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        let entry = self.entries.get(id.index())?;
        if entry.generation == id.generation { entry.object.as_ref() } else { None }
    }

    /// The object, if it still exists, to change it.
    #[inline(always)]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index())?;
        if entry.generation == id.generation { entry.object.as_mut() } else { None }
    }

    /// Whether the object still exists.
    pub fn contains(&self, id: Id<T>) -> bool {
        self.get(id).is_some()
    }

    /// All objects, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|entry| entry.object.as_mut())
    }

    /// All objects in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, e)| {
            let id = Id { index: index as u32, generation: e.generation, object: PhantomData };
            e.object.as_ref().map(|object| (id, object))
        })
    }

    /// All keys in the order of their slots.
    pub fn ids(&self) -> Vec<Id<T>> {
        self.iter().map(|(id, _)| id).collect()
    }
}

impl<T> Index<Id<T>> for Arena<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: Id<T>) -> &T {
        self.get(id).expect("a key held by a live object refers to a live object")
    }
}

impl<T> IndexMut<Id<T>> for Arena<T> {
    #[inline(always)]
    fn index_mut(&mut self, id: Id<T>) -> &mut T {
        self.get_mut(id).expect("a key held by a live object refers to a live object")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_dies_with_its_object() {
        let mut arena = Arena::default();
        let a = arena.insert('a');
        assert_eq!(arena.remove(a), Some('a'));
        let b = arena.insert('b');
        assert_eq!(b.index(), a.index());
        assert_eq!(arena.get(a), None);
        assert_eq!(arena.get(b), Some(&'b'));
        assert_eq!(arena.remove(a), None);
        assert_eq!(arena.len(), 1);
    }

    #[test]
    fn the_lowest_slot_is_used_first() {
        let mut arena = Arena::default();
        let ids: Vec<_> = (0..4).map(|n| arena.insert(n)).collect();
        arena.remove(ids[2]);
        arena.remove(ids[1]);
        assert_eq!(arena.insert(9).index(), 1);
        assert_eq!(arena.insert(9).index(), 2);
        assert_eq!(arena.insert(9).index(), 4);
    }
}
