//! Calls on System V objects: each number stands for several.

use syscalls::arg::{MsgCall, SemCall, ShmCall};
use syscalls::errno::Errno;
use syscalls::flags::{MsgWhich, SemWhich, ShmWhich};

use super::{msg, sem, shm};
use crate::kernel::{Context, Sysret};

/// semctl, semget and semop.
pub fn semsys(cx: &mut Context<'_>, call: SemCall) -> Sysret<i32> {
    let SemCall { which, a1, a2, a3, a4 } = call;
    match which {
        SemWhich::Ctl => Ok(sem::semctl(cx, a1, a2.cast_signed(), a3, a4)?),
        SemWhich::Get => Ok(sem::semget(cx, a1.cast_signed(), a2.cast_signed(), a3)?),
        SemWhich::Op => sem::semop(cx, a1, a2, a3.cast_signed()),
        SemWhich::Other(_) => Err(Errno::EINVAL.into()),
    }
}

/// msgctl, msgget, msgsnd and msgrcv.
pub fn msgsys(cx: &mut Context<'_>, call: MsgCall) -> Sysret<i32> {
    let MsgCall { which, a1, a2, a3, a4, a5 } = call;
    match which {
        MsgWhich::Ctl => Ok(msg::msgctl(cx, a1, a2, a3)?),
        MsgWhich::Get => Ok(msg::msgget(cx, a1.cast_signed(), a2)?),
        MsgWhich::Snd => msg::msgsnd(cx, a1, a2, a3, a4),
        MsgWhich::Rcv => msg::msgrcv(cx, a1, a2, a3, a4.cast_signed(), a5),
        MsgWhich::Other(_) => Err(Errno::EINVAL.into()),
    }
}

/// shmat, shmctl, shmdt, shmget, and the old shmctl.
pub fn shmsys(cx: &mut Context<'_>, call: ShmCall) -> Sysret<i32> {
    let ShmCall { which, a1, a2, a3 } = call;
    Ok(match which {
        ShmWhich::At => shm::shmat(cx, a1, a2, a3)?,
        ShmWhich::OldCtl => shm::shmctl(cx, a1, a2, a3, true)?,
        ShmWhich::Dt => shm::shmdt(cx, a1)?,
        ShmWhich::Get => shm::shmget(cx, a1.cast_signed(), a2, a3)?,
        ShmWhich::Ctl => shm::shmctl(cx, a1, a2, a3, false)?,
        ShmWhich::Other(_) => return Err(Errno::EINVAL.into()),
    })
}
