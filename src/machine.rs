//! The scheduler: picks a runnable guest process, runs its processor, serves the trap.
