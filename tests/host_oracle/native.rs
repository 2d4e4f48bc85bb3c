//! Executes 32-bit code natively inside this 64-bit process.
//!
//! Code, data and stack lie below 4 GiB; a far jump enters 32-bit mode, a far jump to 0x33 behind the
//! tested bytes leaves it, and a signal handler collects what faults.
//!
//! The segments are those of 2.1: entries 3 and 4 of a local table that `modify_ldt` makes, with 2.1's
//! limits and therefore with its selectors.  The addresses are those of the tested processor's memory,
//! so that both see the same numbers.  Knows nothing of the tested processor.

use std::arch::global_asm;
use std::ffi::c_void;

/// Page with the tested code; the page behind it does not exist.
pub const CODE: u32 = 0x1000_0000;
/// Two pages of data; the page behind them does not exist, the one before is read-only.
pub const DATA: u32 = 0x3000_0000;
/// Read-only page.
pub const CONSTANT: u32 = DATA - 0x1000;
/// Two pages of stack.
pub const STACK: u32 = 0x4000_0000;
const CONTEXT: u32 = 0x6b3f_0000;
const LEAVE: u32 = 0x6b3f_2000;
/// Byte that fills the code page: `hlt`.
pub const FILLER: u8 = 0xf4;

/// Bytes of the way out behind the tested ones: `jmp 0x33:LEAVE`.
pub const EXIT: [u8; 7] = [0xea, 0, 0x20, 0x3f, 0x6b, 0x33, 0];
/// Number of the segment register CS.
pub const CS: usize = 1;

/// Registers that go in and come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    pub gpr: [u32; 8],
    pub eip: u32,
    pub eflags: u32,
    /// ES CS SS DS FS GS; CS comes out of faults only.
    pub seg: [u16; 6],
}

/// How native execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Execution reached the far jump, or an address where nothing can be executed.
    Arrived,
    /// A fault or trap: vector, error code, address.
    Fault(u32, u32, u32),
    /// It did not end.
    Endless,
}

#[repr(C, align(16))]
struct Context {
    gpr: [u32; 8],
    eflags: u64,
    target: u32,
    selector: u32,
    rsp: u64,
    fs_base: u64,
    out: [u32; 8],
    out_flags: u64,
    /// Segment registers that come out, that go in, and as the signal handler found them.
    out_seg: [u32; 6],
    seg: [u32; 6],
    caught_seg: [u32; 6],
    kind: u32,
    vector: u32,
    error: u32,
    address: u32,
    out_eip: u32,
    /// The trace flag was set on the way out.
    traced: u32,
}

const _: () = assert!(std::mem::offset_of!(Context, out) == 0x40);
const _: () = assert!(std::mem::offset_of!(Context, out_flags) == 0x60);
const _: () = assert!(std::mem::offset_of!(Context, target) == 0x28);
const _: () = assert!(std::mem::offset_of!(Context, rsp) == 0x30);
const _: () = assert!(std::mem::offset_of!(Context, fs_base) == 0x38);
const _: () = assert!(std::mem::offset_of!(Context, out_seg) == 0x68);
const _: () = assert!(std::mem::offset_of!(Context, seg) == 0x80);
const _: () = assert!(std::mem::offset_of!(Context, caught_seg) == 0x98);
const TF: u32 = 1 << 8;
const FX_IN: usize = 0x200;
const FX_OUT: usize = 0x400;

global_asm!(
    ".globl bsd21_oracle_enter",
    "bsd21_oracle_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov r15d, 0x6b3f0000",
    "mov [r15 + 0x30], rsp",
    "fxrstor [r15 + 0x200]",
    "rdfsbase rax",
    "mov [r15 + 0x38], rax",
    "push qword ptr [r15 + 0x20]",
    "mov es, [r15 + 0x80]",
    "mov ss, [r15 + 0x88]",
    "mov ds, [r15 + 0x8c]",
    "mov fs, [r15 + 0x90]",
    "mov gs, [r15 + 0x94]",
    "popfq",
    "mov eax, [r15]",
    "mov ecx, [r15 + 4]",
    "mov edx, [r15 + 8]",
    "mov ebx, [r15 + 12]",
    "mov esp, [r15 + 16]",
    "mov ebp, [r15 + 20]",
    "mov esi, [r15 + 24]",
    "mov edi, [r15 + 28]",
    "jmp fword ptr [r15 + 0x28]",
    ".globl bsd21_oracle_leave",
    "bsd21_oracle_leave:",
    "mov r15d, 0x6b3f0000",
    "mov [r15 + 0x40], eax",
    "mov [r15 + 0x44], ecx",
    "mov [r15 + 0x48], edx",
    "mov [r15 + 0x4c], ebx",
    "mov [r15 + 0x50], esp",
    "mov [r15 + 0x54], ebp",
    "mov [r15 + 0x58], esi",
    "mov [r15 + 0x5c], edi",
    "mov rsp, [r15 + 0x30]",
    "pushfq",
    "pop qword ptr [r15 + 0x60]",
    "mov [r15 + 0x68], es",
    "mov [r15 + 0x70], ss",
    "mov [r15 + 0x74], ds",
    "mov [r15 + 0x78], fs",
    "mov [r15 + 0x7c], gs",
    "fxsave [r15 + 0x400]",
    ".globl bsd21_oracle_restore",
    "bsd21_oracle_restore:",
    "mov eax, 0x2b",
    "mov ss, eax",
    "xor eax, eax",
    "mov fs, eax",
    "mov gs, eax",
    "mov rax, [r15 + 0x38]",
    "wrfsbase rax",
    "push 2",
    "popfq",
    "fninit",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".globl bsd21_oracle_end",
    "bsd21_oracle_end:",
    // The signal handler: the tested code may have left flags and segments that Rust cannot have.
    ".globl bsd21_oracle_signal",
    "bsd21_oracle_signal:",
    "push 2",
    "popfq",
    "mov eax, 0x6b3f0000",
    "mov [rax + 0x98], es",
    "mov [rax + 0xa4], ds",
    "mov [rax + 0xa8], fs",
    "mov [rax + 0xac], gs",
    "mov rcx, [rax + 0x38]",
    "wrfsbase rcx",
    "jmp {handler}",
    handler = sym handler,
);

unsafe extern "C" {
    fn bsd21_oracle_enter();
    fn bsd21_oracle_leave();
    fn bsd21_oracle_restore();
    fn bsd21_oracle_end();
    fn bsd21_oracle_signal();
}

fn context() -> *mut Context {
    CONTEXT as usize as *mut Context
}

/// The machine; there can be one in a process.
pub struct Native {
    code: *mut u8,
    /// Where the bytes of the last case are in the page.
    used: std::ops::Range<usize>,
    timer: libc::timer_t,
}

impl Native {
    /// Maps everything and installs the handlers; says why it cannot.
    pub fn new() -> Result<Self, String> {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            return Err("not Linux on x86-64".into());
        }
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: fixed mappings that replace nothing; a memfd gives a second, writable, view of the code.
        unsafe {
            if libc::getauxval(libc::AT_HWCAP2) & 2 == 0 {
                return Err("no rdfsbase".into());
            }
            // Entry 3, code, ends at 0xefc00000; entry 4, data, at 0xefbfe000: sizes in pages.
            descriptor(3, 0xe_fbff, 2)?;
            descriptor(4, 0xe_fbfd, 0)?;
            let fd = libc::memfd_create(c"oracle".as_ptr(), 0);
            if fd < 0 || libc::ftruncate(fd, 4096) != 0 {
                return Err("no memfd".into());
            }
            map(CODE, 4096, libc::PROT_READ | libc::PROT_EXEC, fd)?;
            let code = libc::mmap(std::ptr::null_mut(), 4096, rw, libc::MAP_SHARED, fd, 0);
            map(CONTEXT, 0x2000, rw, -1)?;
            map(LEAVE, 0x1000, rw | libc::PROT_EXEC, -1)?;
            map(CONSTANT, 0x1000, libc::PROT_READ, -1)?;
            map(DATA, 0x2000, rw, -1)?;
            map(STACK, 0x2000, rw, -1)?;
            let start = bsd21_oracle_leave as *const u8;
            let len = bsd21_oracle_end as *const () as usize - bsd21_oracle_leave as *const () as usize;
            std::ptr::copy_nonoverlapping(start, LEAVE as usize as *mut u8, len);
            let mut base: u64;
            std::arch::asm!("rdfsbase {}", out(reg) base);
            (*context()).fs_base = base;
            code.cast::<u8>().write_bytes(FILLER, 4096);
            Ok(Self { code: code.cast(), used: 0..0, timer: install() })
        }
    }

    /// Bytes of memory below 4 GiB.
    pub fn memory(&mut self, addr: u32, len: usize) -> &mut [u8] {
        // SAFETY: callers name one of the data ranges mapped above; one thread uses them.
        unsafe { std::slice::from_raw_parts_mut(addr as usize as *mut u8, len) }
    }

    /// Puts bytes at an address of the code page, with the way out behind them; fills where others were.
    pub fn put(&mut self, addr: u32, bytes: &[u8]) {
        let at = (addr - CODE) as usize;
        let end = (at + bytes.len() + EXIT.len()).min(4096);
        // SAFETY: both ranges lie in the writable view of the code page, which nobody executes now.
        unsafe {
            self.code.add(self.used.start).write_bytes(FILLER, self.used.len());
            for (i, b) in (at..end).zip(bytes.iter().chain(&EXIT)) {
                self.code.add(i).write(*b);
            }
        }
        self.used = at..end;
    }

    /// Executes from `registers.eip`.
    pub fn run(&mut self, registers: &mut Registers, fx: &mut [u8; 160]) -> End {
        let cx = context();
        // SAFETY: the context page is ours; the assembly keeps the callee-saved registers, and the
        // handler brings back whatever does not reach the way out.
        unsafe {
            (*cx).gpr = registers.gpr;
            (*cx).eflags = u64::from(registers.eflags);
            (*cx).target = registers.eip;
            (*cx).selector = registers.seg[CS].into();
            (*cx).seg = registers.seg.map(u32::from);
            (*cx).kind = 0;
            (*cx).traced = 0;
            std::ptr::copy_nonoverlapping(fx.as_ptr(), cx.cast::<u8>().add(FX_IN), 160);
            bsd21_oracle_enter();
            std::ptr::copy_nonoverlapping(cx.cast::<u8>().add(FX_OUT), fx.as_mut_ptr(), 160);
            registers.gpr = (*cx).out;
            registers.eflags = (*cx).out_flags as u32 | ((*cx).traced * TF);
            for (seg, out) in registers.seg.iter_mut().zip((*cx).out_seg) {
                *seg = out as u16;
            }
            match (*cx).kind {
                0 => {
                    registers.eip = 0;
                    End::Arrived
                }
                1 => {
                    registers.eip = (*cx).out_eip;
                    End::Fault((*cx).vector, (*cx).error, (*cx).address)
                }
                _ => End::Endless,
            }
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        for (addr, len) in [
            (CODE, 4096),
            (CONTEXT, 0x2000),
            (LEAVE, 0x1000),
            (CONSTANT, 0x1000),
            (DATA, 0x2000),
            (STACK, 0x2000),
        ] {
            // SAFETY: the mappings made in `new`, which nobody uses any more.
            unsafe { libc::munmap(addr as usize as *mut c_void, len) };
        }
        // SAFETY: the timer made in `new`.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// Makes a descriptor of the local table: 32 bits, base 0, limit in pages, kind 0 for data and 2 for code.
unsafe fn descriptor(entry: u32, limit: u32, kind: u32) -> Result<(), String> {
    let flags = 1 | kind << 1 | 1 << 4;
    let description = [entry, 0, limit, flags];
    // SAFETY: nobody in this process uses the local table.
    let done = unsafe { libc::syscall(libc::SYS_modify_ldt, 0x11, description.as_ptr(), 16) };
    if done == 0 { Ok(()) } else { Err("no modify_ldt".into()) }
}

unsafe fn map(addr: u32, len: usize, prot: i32, fd: i32) -> Result<(), String> {
    let kind = if fd < 0 { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS } else { libc::MAP_SHARED };
    // SAFETY: MAP_FIXED_NOREPLACE touches no other mapping.
    let got = unsafe {
        libc::mmap(addr as usize as *mut c_void, len, prot, kind | libc::MAP_FIXED_NOREPLACE, fd, 0)
    };
    if got as usize == addr as usize { Ok(()) } else { Err(format!("address {addr:#x} is not free")) }
}

unsafe fn install() -> libc::timer_t {
    // SAFETY: plain signal set-up; the alternate stack is leaked.
    unsafe {
        let size = 256 << 10;
        let stack = Box::leak(vec![0u8; size].into_boxed_slice());
        let alt = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: size };
        libc::sigaltstack(&alt, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = bsd21_oracle_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGVTALRM]
        {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
        // The timer of this thread's processor time must find this thread.
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGVTALRM;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer: libc::timer_t = std::mem::zeroed();
        libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &mut event, &mut timer);
        let tick = libc::timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let period = libc::itimerspec { it_interval: tick, it_value: tick };
        libc::timer_settime(timer, 0, &period, std::ptr::null_mut());
        timer
    }
}

extern "C" fn handler(signal: i32, _info: *mut libc::siginfo_t, context_: *mut c_void) {
    // SAFETY: the kernel gives a valid context; the oracle's page is mapped before any handler runs.
    unsafe {
        let uc = context_.cast::<libc::ucontext_t>();
        let g = &mut (*uc).uc_mcontext.gregs;
        let r = |g: &[i64], i: i32| g[i as usize] as u32;
        let cx = context();
        let selectors = g[libc::REG_CSGSFS as usize];
        if selectors & 0xffff == 0x33 {
            if signal == libc::SIGTRAP && r(g, libc::REG_RIP) & !0xfff == LEAVE {
                // The tested code set the trace flag and left.
                (*cx).traced = 1;
                g[libc::REG_EFL as usize] &= !i64::from(TF);
            } else if signal != libc::SIGVTALRM {
                libc::signal(signal, libc::SIG_DFL);
            }
            return;
        }
        (*cx).out = [
            r(g, libc::REG_RAX),
            r(g, libc::REG_RCX),
            r(g, libc::REG_RDX),
            r(g, libc::REG_RBX),
            r(g, libc::REG_RSP),
            r(g, libc::REG_RBP),
            r(g, libc::REG_RSI),
            r(g, libc::REG_RDI),
        ];
        (*cx).out_flags = g[libc::REG_EFL as usize] as u64;
        (*cx).out_eip = r(g, libc::REG_RIP);
        (*cx).out_seg = (*cx).caught_seg;
        (*cx).out_seg[CS] = selectors as u32 & 0xffff;
        (*cx).out_seg[2] = (selectors >> 48) as u32 & 0xffff;
        // Whatever the timer finds here runs for longer than it should.
        (*cx).kind = if signal == libc::SIGVTALRM { 2 } else { 1 };
        (*cx).vector = r(g, libc::REG_TRAPNO);
        (*cx).error = r(g, libc::REG_ERR);
        (*cx).address = r(g, libc::REG_CR2);
        let fp = (*uc).uc_mcontext.fpregs;
        if !fp.is_null() {
            std::ptr::copy_nonoverlapping(fp.cast::<u8>(), cx.cast::<u8>().add(FX_OUT), 160);
        }
        let restore = bsd21_oracle_restore as *const () as usize - bsd21_oracle_leave as *const () as usize;
        g[libc::REG_RIP as usize] = i64::from(LEAVE) + restore as i64;
        g[libc::REG_RSP as usize] = (*cx).rsp as i64;
        g[libc::REG_R15 as usize] = i64::from(CONTEXT);
        g[libc::REG_EFL as usize] = 2;
        g[libc::REG_CSGSFS as usize] = 0x2b << 48 | 0x33;
    }
}
