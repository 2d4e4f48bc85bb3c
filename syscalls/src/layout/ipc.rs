//! System V message queues, semaphores and shared memory.
//!
//! 2.1 counterpart: sys/ipc.h, sys/msg.h, sys/sem.h, sys/shm.h, kern/sysv_shm.c (the old form).

use super::{I16, I32, Show, U16, U32, layout};

layout! {
    /// Owner, permissions and key of an object.
    IpcPerm "ipc_perm" 16 {
        0 cuid "cuid": U16,
        2 cgid "cgid": U16,
        4 uid "uid": U16,
        6 gid "gid": U16,
        8 mode "mode": U16 => Show::Octal,
        10 seq "seq": U16,
        12 key "key": I32 => Show::Hex,
    }

    /// A set of semaphores.
    SemidDs "semid_ds" 56 {
        0 perm "sem_perm": IpcPerm,
        16 base "sem_base": U32 => Show::Addr,
        20 nsems "sem_nsems": U16,
        22 pad0 "": [u8; 2] => Show::Pad,
        24 otime "sem_otime": I32 => Show::Time,
        28 pad1 "": [u8; 4] => Show::Pad,
        32 ctime "sem_ctime": I32 => Show::Time,
        36 pad2 "": [u8; 20] => Show::Pad,
    }

    /// An operation on a semaphore.
    Sembuf "sembuf" 6 {
        0 num "sem_num": U16,
        2 op "sem_op": I16,
        4 flg "sem_flg": I16 => Show::Octal,
    }

    /// A message queue.
    MsqidDs "msqid_ds" 84 {
        0 perm "msg_perm": IpcPerm,
        16 first "msg_first": U32 => Show::Addr,
        20 last "msg_last": U32 => Show::Addr,
        24 cbytes "msg_cbytes": U32,
        28 qnum "msg_qnum": U32,
        32 qbytes "msg_qbytes": U32,
        36 lspid "msg_lspid": I32 => Show::Pid,
        40 lrpid "msg_lrpid": I32 => Show::Pid,
        44 stime "msg_stime": I32 => Show::Time,
        48 pad1 "": [u8; 4] => Show::Pad,
        52 rtime "msg_rtime": I32 => Show::Time,
        56 pad2 "": [u8; 4] => Show::Pad,
        60 ctime "msg_ctime": I32 => Show::Time,
        64 pad3 "": [u8; 20] => Show::Pad,
    }

    /// A shared memory segment.
    ShmidDs "shmid_ds" 48 {
        0 perm "shm_perm": IpcPerm,
        16 segsz "shm_segsz": I32,
        20 lpid "shm_lpid": I32 => Show::Pid,
        24 cpid "shm_cpid": I32 => Show::Pid,
        28 nattch "shm_nattch": I16,
        30 pad "": [u8; 2] => Show::Pad,
        32 atime "shm_atime": I32 => Show::Time,
        36 dtime "shm_dtime": I32 => Show::Time,
        40 ctime "shm_ctime": I32 => Show::Time,
        44 internal "shm_internal": U32 => Show::Addr,
    }

    /// A shared memory segment in its old form.
    OshmidDs "oshmid_ds" 44 {
        0 perm "shm_perm": IpcPerm,
        16 segsz "shm_segsz": I32,
        20 cpid "shm_cpid": U16,
        22 lpid "shm_lpid": U16,
        24 nattch "shm_nattch": I16,
        26 pad "": [u8; 2] => Show::Pad,
        28 atime "shm_atime": I32 => Show::Time,
        32 dtime "shm_dtime": I32 => Show::Time,
        36 ctime "shm_ctime": I32 => Show::Time,
        40 handle "shm_handle": U32 => Show::Addr,
    }
}
