//! x87 instructions in the interpreter: a long run must not use up the host's stack.

use bsd21::cpu::{Cpu, Options};
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::{Gpr, Trap, Trapframe};

#[test]
fn a_long_run_of_x87_instructions_uses_no_host_stack() {
    // 1: fld qword [0x2000]; fadd qword [0x2008]; fmul st, st(0); fxch; fstp qword [0x2010]; fcom;
    //    fnstsw ax; fild dword [0x2000]; fistp dword [0x2018]; fldz; fstp st(0); dec ecx; jnz 1b; int3
    let code = [
        0xdd, 0x05, 0, 0x20, 0, 0, 0xdc, 0x05, 8, 0x20, 0, 0, 0xd8, 0xc8, 0xd9, 0xc9, 0xdd, 0x1d, 0x10, 0x20,
        0, 0, 0xd8, 0xd1, 0xdf, 0xe0, 0xdb, 0x05, 0, 0x20, 0, 0, 0xdb, 0x1d, 0x18, 0x20, 0, 0, 0xd9, 0xee,
        0xdd, 0xd8, 0x49, 0x75, 0xd3, 0xcc,
    ];
    let mut space = AddressSpace::new().expect("an address space");
    space.map_anon(0x1000, 0x2000, Prot::READ | Prot::WRITE).expect("two pages");
    space.poke(0x1000, &code).expect("the code");
    space.poke(0x2000, &0.1f64.to_bits().to_le_bytes()).expect("an operand");
    space.poke(0x2008, &0.7f64.to_bits().to_le_bytes()).expect("an operand");
    let mut frame = Trapframe::new();
    frame.fpu.set_control(0x127f);
    frame.eip = 0x1000;
    frame.set(Gpr::Ecx, 300_000);
    let mut cpu = Cpu::with_options(Options::default());
    let stopped = cpu.run(&mut frame, &mut space, 10_000_000);
    assert_eq!(stopped.trap, Trap::Breakpoint);
    assert_eq!(stopped.retired, 300_000 * 13 + 1);
}
