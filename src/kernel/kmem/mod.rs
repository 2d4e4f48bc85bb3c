//! Kernel memory as programs read it: made of the kernel's state when somebody looks.

pub(in crate::kernel) mod log;
pub(in crate::kernel) mod place;
