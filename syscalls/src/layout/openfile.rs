//! Open files, vnodes and mounts as the kernel keeps them; groups and sessions of processes.
//!
//! 2.1 counterpart: sys/file.h, sys/filedesc.h, sys/vnode.h, ufs/ufs/inode.h, ufs/ufs/dinode.h, sys/mount.h, sys/proc.h.

use super::{I16, I32, I64, Show, Statfs, Timespec, U16, U32, U64, layout};

layout! {
    /// An open file.
    File "file" 36 {
        0 next "f_filef": U32 => Show::Addr,
        4 previous "f_fileb": U32 => Show::Addr,
        8 flag "f_flag": I16 => Show::Hex,
        10 kind "f_type": I16,
        12 count "f_count": I16,
        14 msgcount "f_msgcount": I16,
        16 cred "f_cred": U32 => Show::Addr,
        20 ops "f_ops": U32 => Show::Addr,
        24 offset "f_offset": I64,
        32 data "f_data": U32 => Show::Addr,
    }

    /// Descriptors and directories of a process.
    Filedesc "filedesc" 28 {
        0 ofiles "fd_ofiles": U32 => Show::Addr,
        4 ofileflags "fd_ofileflags": U32 => Show::Addr,
        8 cdir "fd_cdir": U32 => Show::Addr,
        12 rdir "fd_rdir": U32 => Show::Addr,
        16 nfiles "fd_nfiles": I32,
        20 lastfile "fd_lastfile": U16,
        22 freefile "fd_freefile": U16,
        24 cmask "fd_cmask": U16 => Show::Octal,
        26 refcnt "fd_refcnt": U16,
    }

    /// The same with room for the first descriptors.
    Filedesc0 "filedesc0" 128 {
        0 fd "fd_fd": Filedesc,
        28 dfiles "fd_dfiles": [U32; 20] => Show::Pad,
        108 dfileflags "fd_dfileflags": [u8; 20] => Show::Bytes,
    }

    /// A vnode.
    Vnode "vnode" 108 {
        0 flag "v_flag": U32 => Show::Hex,
        4 usecount "v_usecount": I32,
        8 writecount "v_writecount": I32,
        12 holdcnt "v_holdcnt": I32,
        16 lastr "v_lastr": I32,
        20 id "v_id": U32,
        24 mount "v_mount": U32 => Show::Addr,
        28 op "v_op": U32 => Show::Addr,
        32 freelist "v_freelist": [U32; 2] => Show::Pad,
        40 mntvnodes "v_mntvnodes": [U32; 2] => Show::Pad,
        48 cleanblkhd "v_cleanblkhd": U32 => Show::Addr,
        52 dirtyblkhd "v_dirtyblkhd": U32 => Show::Addr,
        56 numoutput "v_numoutput": I32,
        60 kind "v_type": I32,
        64 un "v_un": U32 => Show::Addr,
        68 lease "v_lease": U32 => Show::Addr,
        72 lastw "v_lastw": I32,
        76 cstart "v_cstart": I32,
        80 lasta "v_lasta": I32,
        84 clen "v_clen": I32,
        88 ralen "v_ralen": I32,
        92 maxra "v_maxra": I32,
        96 vmdata "v_vmdata": U32 => Show::Addr,
        100 tag "v_tag": I32,
        104 data "v_data": U32 => Show::Addr,
    }

    /// A file of a disk, behind its vnode.
    Inode "inode" 256 {
        0 next "i_next": U32 => Show::Addr,
        4 prev "i_prev": U32 => Show::Addr,
        8 vnode "i_vnode": U32 => Show::Addr,
        12 devvp "i_devvp": U32 => Show::Addr,
        16 flag "i_flag": U32 => Show::Hex,
        20 dev "i_dev": U32 => Show::Dev,
        24 number "i_number": U32,
        28 fs "i_fs": U32 => Show::Addr,
        32 dquot "i_dquot": [U32; 2] => Show::Pad,
        40 modrev "i_modrev": U64,
        48 lockf "i_lockf": U32 => Show::Addr,
        52 lockholder "i_lockholder": I32 => Show::Pid,
        56 lockwaiter "i_lockwaiter": I32 => Show::Pid,
        60 count "i_count": I32,
        64 endoff "i_endoff": I32,
        68 diroff "i_diroff": I32,
        72 offset "i_offset": I32,
        76 ino "i_ino": U32,
        80 reclen "i_reclen": U32,
        84 lockcount "i_lockcount": I32,
        88 spare "i_spare": [I32; 10] => Show::Pad,
        128 din "i_din": Dinode,
    }

    /// What a disk keeps of a file.
    Dinode "dinode" 128 {
        0 mode "di_mode": U16 => Show::Mode,
        2 nlink "di_nlink": I16,
        4 oldids "di_u": [U16; 2],
        8 size "di_size": U64,
        16 atime "di_atime": Timespec,
        24 mtime "di_mtime": Timespec,
        32 ctime "di_ctime": Timespec,
        40 db "di_db": [U32; 15] => Show::Pad,
        100 flags "di_flags": U32 => Show::Hex,
        104 blocks "di_blocks": I32,
        108 gener "di_gen": I32,
        112 uid "di_uid": U32,
        116 gid "di_gid": U32,
        120 spare "di_spare": [u8; 8] => Show::Pad,
    }

    /// A mounted file system.
    Mount "mount" 292 {
        0 list "mnt_list": [U32; 2] => Show::Pad,
        8 op "mnt_op": U32 => Show::Addr,
        12 vnodecovered "mnt_vnodecovered": U32 => Show::Addr,
        16 vnodelist "mnt_vnodelist": U32 => Show::Addr,
        20 flag "mnt_flag": I32 => Show::Hex,
        24 maxsymlinklen "mnt_maxsymlinklen": I32,
        28 stat "mnt_stat": Statfs,
        284 data "mnt_data": U32 => Show::Addr,
        288 vfc "mnt_vfc": U32 => Show::Addr,
    }

    /// A group of processes.
    Pgrp "pgrp" 20 {
        0 hforw "pg_hforw": U32 => Show::Addr,
        4 mem "pg_mem": U32 => Show::Addr,
        8 session "pg_session": U32 => Show::Addr,
        12 id "pg_id": I32 => Show::Pid,
        16 jobc "pg_jobc": I32,
    }

    /// A session.
    Session "session" 28 {
        0 count "s_count": I32,
        4 leader "s_leader": U32 => Show::Addr,
        8 ttyvp "s_ttyvp": U32 => Show::Addr,
        12 ttyp "s_ttyp": U32 => Show::Addr,
        16 login "s_login": [u8; 12] => Show::Chars,
    }
}
