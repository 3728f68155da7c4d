// Package seglog knows how to keep a log in a folder of a local disk, so that what was
// acknowledged is there after any crash, and what was changed since is noticed.
//
// # Files
//
//	000000000000.seg, 000000000001.seg, ...   segments: all shards in one sequence
//	watermark                                 how far the log was acknowledged
//
// A segment is a header and groups. A group is what one write and one sync put there: the records
// of all Appends that waited at that moment, one block for each shard. A block is a header and
// frames, a frame is one record. Appends share a sync, a shard's records lie together, and a reader
// hops from header to header over the blocks of other shards.
//
// Every byte is under a CRC32C. A block header holds the number of its group and the CRC of the
// header before, a segment header repeats where the segment before ended, and the CRCs start from
// 16 random bytes that name the log; so nothing can be removed, moved, or brought in from another
// log without the next header missing it. This finds accidents. It does not stop a
// forger, who can compute a CRC: that is what the Merkle roots on chain are for.
//
// # Writing
//
// One goroutine writes. It takes all Appends that wait, writes them as one group, syncs, moves the
// watermark, shows the records to readers and answers. After any error it writes nothing more
// (eventstore.ErrFailed): a sync that failed has lost what it was to make durable, and a second
// one would only say that there is nothing left to do. Open the log again and read what was kept.
//
// The watermark is overwritten after each sync, and synced by Close and Open only. It costs a few
// microseconds, it can't run ahead of the truth, and it lags behind only after a power cut.
//
// # Opening
//
// Open reads the whole log. The only thing that it repairs is a torn write: bytes at the very end,
// after the last whole group, that a crash left of a group nobody was told about. It cuts them off
// and says so (Repaired). Everything else is refused with a *Damage that names file and byte, and
// the record where it can be told.
//
// How does it tell a torn write from damage to a group that was acknowledged?
//
//   - The watermark: below it, all was acknowledged. After a crash of the process (kill -9, panic)
//     it is exact, since the kernel has it; after Close it is exact whatever happens. In these cases
//     no damage is ever taken for a torn write.
//   - After a power cut the watermark may be as old as the kernel lets dirty pages grow, which is
//     half a minute. But a group is begun only when the one before was synced, so any block header
//     of a later group proves that a broken one was acknowledged. This leaves only the very last
//     group.
//   - A crash leaves each 512-byte sector of a new part of a file either written or empty. If the
//     last group's length is known, and none of its sectors is empty, then it did arrive, and was
//     changed later.
//
// What is left, and can't be told: a power cut, within half a minute after the last group was
// acknowledged, and on top of it damage to that very group, either to its first 56 bytes, or such
// that a sector of it is empty or its end is missing. That group is cut off as a torn write,
// and Repaired says so. One flipped bit and no power cut is never such a case.
//
// What Open keeps, it first makes durable: whole groups beyond the watermark are written over
// themselves and synced. They may never have been synced, or a sync of them failed, which leaves
// them in the kernel's cache looking clean and not on the disk.
//
// Verify is stricter and is for auditors: to it, a torn write is damage, too.
//
// # Limits
//
// Linux only, for flock and fdatasync, on a file system that keeps what it synced; not on NFS. A
// folder has one writer; the lock is on the folder itself. To copy a log that is being written,
// copy the watermark first: it must not be ahead of the segments.
package seglog
