//! The i386 and i387 processor: decoded blocks, an interpreter, and nothing of any kernel.

pub mod x87;
