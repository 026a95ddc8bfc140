package image

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// The file types of the "newc" format that the kernel unpacks as its first root file system.
const (
	cpioDir     = 0o040000
	cpioFile    = 0o100000
	cpioLink    = 0o120000
	cpioChar    = 0o020000
	cpioTrailer = "TRAILER!!!"
)

// writeCPIO writes the tree as an initial RAM disk, with every time set to the epoch and root as the owner. The only
// device there can be is the console, character device 5:1.
func (t tree) writeCPIO(w io.Writer, epoch time.Time) error {
	out := &cpioWriter{out: bufio.NewWriter(w), time: epoch.Unix()}
	for i, name := range t.sorted() {
		n := t[name]
		switch n.mode.Type() {
		case fs.ModeDir:
			out.entry(i+1, name, cpioDir|n.mode.Perm(), nil, 0, 0)
		case fs.ModeSymlink:
			out.entry(i+1, name, cpioLink|n.mode.Perm(), []byte(n.target), 0, 0)
		case fs.ModeDevice | fs.ModeCharDevice:
			out.entry(i+1, name, cpioChar|n.mode.Perm(), nil, 5, 1)
		default:
			out.entry(i+1, name, cpioFile|n.mode.Perm(), n.data, 0, 0)
		}
	}
	out.time = 0
	out.entry(0, cpioTrailer, 0, nil, 0, 0)
	return out.out.Flush()
}

type cpioWriter struct {
	out  *bufio.Writer // keeps the first error until Flush
	time int64
}

func (c *cpioWriter) entry(inode int, name string, mode fs.FileMode, data []byte, major, minor int) {
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, uint32(mode), 0, 0, 1, c.time, len(data), 0, 0, major, minor, len(name)+1, 0)
	c.padded([]byte(header + name + "\x00"))
	c.padded(data)
}

// padded writes data and fills up to a multiple of four bytes.
func (c *cpioWriter) padded(data []byte) {
	_, _ = c.out.Write(data)
	_, _ = c.out.Write(make([]byte, -len(data)&3))
}
