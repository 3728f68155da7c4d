package localchain

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/xssnick/tonutils-go/tvm/cell"
	"golang.org/x/sys/unix"
)

// The journal is one file: a file header, then a frame per block with what the block took from
// outside and the hash of what came out. A block is in the journal, synced, before anyone sees it;
// opening the chain executes the frames again and compares the hashes.
//
//	file header  magic (24) | configuration hash (32) | CRC32C of both (4)
//	frame        body length (4) | seqno (4) | CRC32C of the body (4) | CRC32C of the first 12 bytes (4) | body
//	body         unix time (4) | masterchain block's root hash (32) | messages (4) | per message: length (4), bag of cells
//
// Integers are big-endian. What may be wrong with it:
//   - The last frame is incomplete, or complete with a wrong body sum, and nothing follows: a write
//     that a crash cut off. Nobody saw the block. It is cut away.
//   - Anything else: the folder is refused, with the byte where it goes wrong.
const (
	// JournalName is the file in the folder of a chain that holds it.
	JournalName     = "blocks.journal"
	journalMagic    = "filature local chain v1\n"
	fileHeaderBytes = len(journalMagic) + 32 + 4
	frameHeader     = 16
	// A block's messages come from the pool, which holds poolMessages of at most messageBytes.
	maxFrameBody = 40 + poolMessages*(4+2*messageBytes) // ours may be a longer encoding than theirs
)

// ErrCorrupt: the folder's journal is not what was written, or was written by another version of
// the chain. Its money is play money: move the folder away and start a new chain.
var ErrCorrupt = errors.New("local chain's journal is corrupt")

// ErrInUse: another process (or another Chain of this one) has the folder open.
var ErrInUse = errors.New("local chain's folder is in use")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one block's record.
type frame struct {
	seqno    uint32
	in       input
	rootHash []byte // of the masterchain block; it covers everything
}

// journal appends frames. It is not safe for concurrent use.
type journal struct {
	file *os.File
	end  int64
	// failed is set by the first write or sync that fails: what the file holds is then unknown until
	// it is read again, so nothing more is written to it.
	failed error
}

// openJournal opens or creates the folder's journal and hands every frame to replay, in order.
func openJournal(dir string, configHash []byte, replay func(frame) error) (_ *journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	path := filepath.Join(dir, JournalName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("local chain %s: %w", dir, ErrInUse)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	if info.Size() < int64(fileHeaderBytes) {
		// Shorter than its header: the crash came while the folder was made. There is no block yet.
		return createJournal(file, dir, configHash)
	}
	j := &journal{file: file}
	if err := j.read(info.Size(), configHash, replay); err != nil {
		return nil, fmt.Errorf("local chain %s: %w", path, err)
	}
	if j.end < info.Size() {
		if err := file.Truncate(j.end); err != nil {
			return nil, fmt.Errorf("local chain %s: cut the torn tail at byte %d: %w", path, j.end, err)
		}
		if err := file.Sync(); err != nil {
			return nil, fmt.Errorf("local chain %s: %w", path, err)
		}
	}
	return j, nil
}

func createJournal(file *os.File, dir string, configHash []byte) (*journal, error) {
	head := append([]byte(journalMagic), configHash...)
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	if err := file.Truncate(0); err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	if _, err := file.WriteAt(head, 0); err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	if err := file.Sync(); err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, fmt.Errorf("local chain: %w", err)
	}
	return &journal{file: file, end: int64(fileHeaderBytes)}, nil
}

func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// read replays the file and leaves j.end after the last good frame.
func (j *journal) read(size int64, configHash []byte, replay func(frame) error) error {
	in := bufio.NewReaderSize(io.NewSectionReader(j.file, 0, size), 1<<20)
	head := make([]byte, fileHeaderBytes)
	if _, err := io.ReadFull(in, head); err != nil {
		return err
	}
	sum := len(head) - 4
	if crc32.Checksum(head[:sum], castagnoli) != binary.BigEndian.Uint32(head[sum:]) ||
		!bytes.HasPrefix(head, []byte(journalMagic)) {
		return fmt.Errorf("byte 0: no journal header: %w", ErrCorrupt)
	}
	if !bytes.Equal(head[len(journalMagic):sum], configHash) {
		return fmt.Errorf("byte %d: made under another network configuration: %w", len(journalMagic), ErrCorrupt)
	}
	j.end = int64(fileHeaderBytes)
	for seqno := uint32(0); ; seqno++ {
		raw, next, err := readFrame(in, j.end, size)
		if errors.Is(err, errTorn) {
			return nil
		}
		if err != nil {
			return err
		}
		decoded, err := decodeFrame(raw)
		if err != nil {
			return fmt.Errorf("byte %d: %w: %w", j.end, err, ErrCorrupt)
		}
		if decoded.seqno != seqno {
			return fmt.Errorf("byte %d: block %d where block %d belongs: %w", j.end, decoded.seqno, seqno, ErrCorrupt)
		}
		if err := replay(decoded); err != nil {
			return fmt.Errorf("byte %d: block %d: %w", j.end, seqno, err)
		}
		j.end = next
	}
}

// errTorn: the file ends, or what a crash cut off begins.
var errTorn = errors.New("end of journal")

// readFrame reads the frame at byte at and returns it with the byte after it.
func readFrame(in io.Reader, at, size int64) (raw []byte, next int64, err error) {
	if size-at < frameHeader {
		return nil, 0, errTorn
	}
	head := make([]byte, frameHeader)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, 0, err
	}
	if crc32.Checksum(head[:12], castagnoli) != binary.BigEndian.Uint32(head[12:]) {
		// A file that a crash made longer before its bytes came ends in zeros.
		rest, err := io.ReadAll(in)
		if err != nil {
			return nil, 0, err
		}
		if len(bytes.Trim(head, "\x00"))+len(bytes.Trim(rest, "\x00")) == 0 {
			return nil, 0, errTorn
		}
		return nil, 0, fmt.Errorf("byte %d: damaged frame header: %w", at, ErrCorrupt)
	}
	length := int64(binary.BigEndian.Uint32(head))
	if length > int64(maxFrameBody) {
		return nil, 0, fmt.Errorf("byte %d: frame of %d bytes: %w", at, length, ErrCorrupt)
	}
	next = at + frameHeader + length
	if next > size {
		return nil, 0, errTorn
	}
	raw = slices.Concat(head, make([]byte, length))
	if _, err := io.ReadFull(in, raw[frameHeader:]); err != nil {
		return nil, 0, err
	}
	if crc32.Checksum(raw[frameHeader:], castagnoli) != binary.BigEndian.Uint32(head[8:]) {
		if next == size {
			return nil, 0, errTorn
		}
		return nil, 0, fmt.Errorf("byte %d: damaged frame: %w", at, ErrCorrupt)
	}
	return raw, next, nil
}

// append makes one block durable. Crash before it returns: the block was or was not made, and
// nobody has seen it. After an error the journal takes nothing more.
func (j *journal) append(f frame) error {
	if j.failed != nil {
		return j.failed
	}
	raw := encodeFrame(f)
	_, err := j.file.WriteAt(raw, j.end)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.failed = fmt.Errorf("journal of block %d: %w", f.seqno, err)
		return j.failed
	}
	j.end += int64(len(raw))
	return nil
}

func (j *journal) close() error { return j.file.Close() }

func encodeFrame(f frame) []byte {
	body := binary.BigEndian.AppendUint32(nil, f.in.utime)
	body = append(body, f.rootHash...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(f.in.messages)))
	for _, message := range f.in.messages {
		boc := message.ToBOC()
		body = binary.BigEndian.AppendUint32(body, uint32(len(boc)))
		body = append(body, boc...)
	}
	raw := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	raw = binary.BigEndian.AppendUint32(raw, f.seqno)
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(body, castagnoli))
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(raw, castagnoli))
	return append(raw, body...)
}

// decodeFrame reads a frame whose sums are right.
func decodeFrame(raw []byte) (frame, error) {
	f := frame{seqno: binary.BigEndian.Uint32(raw[4:])}
	body := raw[frameHeader:]
	if len(body) < 40 {
		return frame{}, fmt.Errorf("body of %d bytes", len(body))
	}
	f.in.utime = binary.BigEndian.Uint32(body)
	f.rootHash = body[4:36]
	count := binary.BigEndian.Uint32(body[36:])
	body = body[40:]
	for i := range count {
		if len(body) < 4 || uint64(len(body)-4) < uint64(binary.BigEndian.Uint32(body)) {
			return frame{}, fmt.Errorf("message %d runs over the frame", i)
		}
		length := binary.BigEndian.Uint32(body)
		message, err := cell.FromBOC(body[4 : 4+length])
		if err != nil {
			return frame{}, fmt.Errorf("message %d: %w", i, err)
		}
		f.in.messages = append(f.in.messages, message)
		body = body[4+length:]
	}
	if len(body) != 0 {
		return frame{}, fmt.Errorf("%d bytes after the last message", len(body))
	}
	return f, nil
}
