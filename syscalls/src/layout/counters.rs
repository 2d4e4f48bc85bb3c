//! What the kernel counts of names and memory; its swap devices; the devices that it found.
//!
//! 2.1 counterpart: sys/namei.h, sys/malloc.h, sys/conf.h, sys/devconf.h.

use super::{I32, Show, U16, U32, layout};

layout! {
    /// Look-ups of names, by what the cache knew.
    Nchstats "nchstats" 32 {
        0 goodhits "ncs_goodhits": I32,
        4 neghits "ncs_neghits": I32,
        8 badhits "ncs_badhits": I32,
        12 falsehits "ncs_falsehits": I32,
        16 miss "ncs_miss": I32,
        20 toolong "ncs_long": I32,
        24 pass2 "ncs_pass2": I32,
        28 passes2 "ncs_2passes": I32,
    }

    /// Memory of the kernel's, by what it is for.
    Kmemstats "kmemstats" 32 {
        0 inuse "ks_inuse": I32,
        4 calls "ks_calls": I32,
        8 memuse "ks_memuse": I32,
        12 limblocks "ks_limblocks": U16,
        14 mapblocks "ks_mapblocks": U16,
        16 maxused "ks_maxused": I32,
        20 limit "ks_limit": I32,
        24 size "ks_size": I32,
        28 spare "ks_spare": I32,
    }

    /// Memory of the kernel's, by size.
    Kmembuckets "kmembuckets" 32 {
        0 next "kb_next": U32 => Show::Addr,
        4 last "kb_last": U32 => Show::Addr,
        8 calls "kb_calls": I32,
        12 total "kb_total": I32,
        16 totalfree "kb_totalfree": I32,
        20 elmpercl "kb_elmpercl": I32,
        24 highwat "kb_highwat": I32,
        28 couldfree "kb_couldfree": I32,
    }

    /// A swap device.
    Swdevt "swdevt" 16 {
        0 dev "sw_dev": U32 => Show::Dev,
        4 flags "sw_flags": I32 => Show::Hex,
        8 nblks "sw_nblks": I32,
        12 vp "sw_vp": U32 => Show::Addr,
    }

    /// A device; what its bus adds follows.
    Devconf "devconf" 172 {
        0 name "dc_name": [u8; 32] => Show::Chars,
        32 descr "dc_descr": [u8; 64] => Show::Chars,
        96 unit "dc_unit": I32,
        100 number "dc_number": I32,
        104 pname "dc_pname": [u8; 32] => Show::Chars,
        136 punit "dc_punit": I32,
        140 pnumber "dc_pnumber": I32,
        144 md "dc_md": [u8; 12] => Show::Pad,
        156 state "dc_state": I32,
        160 class "dc_class": I32,
        164 datalen "dc_datalen": U32,
        168 data "dc_data": u8,
        169 pad0 "": [u8; 3] => Show::Pad,
    }
}
