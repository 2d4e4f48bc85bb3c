//! Guest memory: one 4 GiB reservation per address space, and the only unsafe code of the project.
