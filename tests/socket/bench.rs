//! What the socket layer costs, from the gate to the result registers, without any processor:
//! `cargo bench --bench sockets`.
//!
//! Arguments are written once; only the registers are set between calls.

#[path = "root.rs"]
mod root;
#[path = "world.rs"]
mod world;

use std::time::Instant;

use world::{ARENA, World, nr};

fn main() {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::new(root.path());
    world.call(0, nr::SOCKETPAIR, &[1, 1, 0, ARENA, 0]).expect("a pair");
    let getpid = world.time(200_000, &[(20, [0; 3])]);
    let byte = world.time(200_000, &[(nr::WRITE, [3, ARENA, 1]), (nr::READ, [4, ARENA, 1])]);
    let bulk = world.time(50_000, &[(nr::WRITE, [3, ARENA, 4096]), (nr::READ, [4, ARENA, 4096])]);
    println!("getpid                                {getpid:7.1} ns");
    println!("write and read of a byte              {byte:7.1} ns");
    println!("write and read of 4096 bytes          {bulk:7.1} ns, {:.2} GB/s", 4096.0 / bulk);
    let other = world.fork(0);
    let trip = world.time_round_trip(100_000, other);
    println!("round trip of a byte, two processes   {trip:7.1} ns");
}

impl World {
    /// Nanoseconds of a sequence of calls of process 0.
    fn time(&mut self, times: u32, calls: &[(u32, [u32; 3])]) -> f64 {
        let begin = Instant::now();
        for _ in 0..times {
            for (number, args) in calls {
                self.quick(0, *number, args);
            }
        }
        begin.elapsed().as_nanos() as f64 / f64::from(times)
    }

    /// Nanoseconds of a byte there and back: each end sleeps in its read.
    fn time_round_trip(&mut self, times: u32, other: usize) -> f64 {
        self.quick(other, nr::READ, &[4, ARENA, 1]);
        let begin = Instant::now();
        for _ in 0..times {
            self.quick(0, nr::WRITE, &[3, ARENA, 1]);
            self.quick(0, nr::READ, &[3, ARENA, 1]);
            self.switch();
            self.quick(other, nr::WRITE, &[4, ARENA, 1]);
            self.quick(other, nr::READ, &[4, ARENA, 1]);
            self.switch();
        }
        begin.elapsed().as_nanos() as f64 / f64::from(times)
    }
}
