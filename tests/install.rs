//! `bsd21 install` and `bsd21 doctor` over media of our own making: what comes of them, and what does not.

#[path = "install/archives.rs"]
mod archives;
#[path = "install/hostile.rs"]
mod hostile;
#[path = "install/packages.rs"]
mod packages;
#[path = "install/roots.rs"]
mod roots;
#[path = "install/world.rs"]
mod world;
