//! Renderings of the kernel's events.
