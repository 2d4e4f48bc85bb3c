//! Image activators: what an executable file is, and how it is laid out in memory.
