//! A survey of a tree of old programs: what each is, what it needs, which system calls its code contains,
//! and how it starts.
