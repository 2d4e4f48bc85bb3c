//! The x87 unit as `fxsave` stores it: the common form of both sides.

use bsd21::trapframe::FpuState;

/// The part of an `fxsave` image that holds the x87 unit.
pub type Image = [u8; 160];

/// Our unit as `fxsave` stores it.
pub fn fxsave(fpu: &FpuState) -> Image {
    let mut image = [0; 160];
    image[0..2].copy_from_slice(&fpu.control.to_le_bytes());
    image[2..4].copy_from_slice(&fpu.status().to_le_bytes());
    image[4] = fpu.valid();
    image[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
    let top = usize::from(fpu.status() >> 11 & 7);
    for i in 0..8 {
        let r = fpu.register((top + i) & 7);
        image[32 + 16 * i..40 + 16 * i].copy_from_slice(&r.significand.to_le_bytes());
        image[40 + 16 * i..42 + 16 * i].copy_from_slice(&r.sign_exponent.to_le_bytes());
    }
    image
}

fn word(image: &Image, at: usize) -> u16 {
    u16::from_le_bytes([image[at], image[at + 1]])
}

/// ST(i): significand, sign and exponent.
fn register(image: &Image, i: usize) -> (u64, u16) {
    let at = 32 + 16 * i;
    let significand = image[at..at + 8].iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
    (significand, word(image, at + 8))
}

/// Whether two images are the same; with `units` of tolerance in ST(0) and ST(1), and then C1, which says
/// whether the result was rounded up, does not count.
pub fn same(host: &Image, here: &Image, units: u64) -> bool {
    if units == 0 {
        return host[..6] == here[..6] && (0..8).all(|i| register(host, i) == register(here, i));
    }
    let near = |i: usize| {
        let ((a, e), (b, f)) = (register(host, i), register(here, i));
        let place = |significand: u64, exponent: u16| {
            i128::from(exponent) << 63 | i128::from(significand & !(1 << 63))
        };
        a == b && e == f || i < 2 && (place(a, e) - place(b, f)).unsigned_abs() <= u128::from(units)
    };
    word(host, 0) == word(here, 0)
        && (word(host, 2) ^ word(here, 2)) & !0x200 == 0
        && host[4] == here[4]
        && (0..8).all(near)
}

/// The unit as text.
pub fn summary(image: &Image) -> String {
    let registers: Vec<String> = (0..8)
        .map(|i| {
            let (significand, sign_exponent) = register(image, i);
            format!("{sign_exponent:04x}:{significand:016x}")
        })
        .collect();
    format!(
        "cw {:04x} sw {:04x} valid {:02x} {}",
        word(image, 0),
        word(image, 2),
        image[4],
        registers.join(" ")
    )
}
