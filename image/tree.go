package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree is a file system in memory: a path without a leading slash → what is there. Everything belongs to root.
type tree map[string]node

type node struct {
	mode   fs.FileMode // type and permissions
	data   []byte
	target string // of a symbolic link
	owner  string // the Debian package it came from
}

func (t tree) addFile(name string, mode fs.FileMode, data []byte) {
	t.addParents(name)
	t[name] = node{mode: mode.Perm(), data: data}
}

func (t tree) addLink(name, target string) {
	t.addParents(name)
	t[name] = node{mode: fs.ModeSymlink | 0o777, target: target}
}

func (t tree) addDir(name string, mode fs.FileMode) {
	t.addParents(name)
	t[name] = node{mode: fs.ModeDir | mode}
}

func (t tree) addParents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := t[dir]; !ok {
			t[dir] = node{mode: fs.ModeDir | 0o755}
		}
	}
}

func (t tree) addJSON(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	t.addFile(name, 0o644, append(text, '\n'))
	return nil
}

// mergeUsr gives the path that a file has where /bin, /sbin and /lib are links into /usr, as everywhere in Debian now.
func mergeUsr(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return "usr/" + name
		}
	}
	return name
}

// addTar adds what a package's archive holds and is wanted.
func (t tree) addTar(archive *tar.Reader, owner string, wanted func(string) bool) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := mergeUsr(header.Name)
		if name == "" || !wanted(name) {
			continue
		}
		n := node{mode: header.FileInfo().Mode().Perm(), owner: owner}
		switch header.Typeflag {
		case tar.TypeReg:
			n.data = make([]byte, header.Size)
			if _, err := io.ReadFull(archive, n.data); err != nil {
				return fmt.Errorf("%s: %w", header.Name, err)
			}
		case tar.TypeLink:
			linked, ok := t[mergeUsr(header.Linkname)]
			if !ok {
				return fmt.Errorf("%s is a link to %s, which is missing", header.Name, header.Linkname)
			}
			n.data = linked.data
		case tar.TypeSymlink:
			n.mode |= fs.ModeSymlink
			n.target = header.Linkname
		case tar.TypeDir:
			n.mode |= fs.ModeDir
		default:
			continue // no package brings a device that an appliance needs
		}
		t[name] = n
	}
}

// addDisk copies a directory of this machine over the tree.
func (t tree) addDisk(dir string) error {
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || file == dir {
			return err
		}
		relative, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		name := mergeUsr(filepath.ToSlash(relative))
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			if _, ok := t[name]; !ok {
				t.addDir(name, info.Mode().Perm())
			}
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			t.addLink(name, target)
		case entry.Type().IsRegular():
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			t.addFile(name, info.Mode(), data)
		default:
			return fmt.Errorf("%s is neither a file, a directory nor a symbolic link", file)
		}
		return nil
	})
}

// resolve follows symbolic links in the last part of a path, and returns where it ends: empty when nothing is there.
func (t tree) resolve(name string) string {
	for range 16 {
		name = mergeUsr(name)
		n, ok := t[name]
		if !ok {
			return ""
		}
		if n.mode.Type() != fs.ModeSymlink {
			return name
		}
		if path.IsAbs(n.target) {
			name = n.target
		} else {
			name = path.Join(path.Dir(name), n.target)
		}
	}
	return ""
}

// copyFrom copies a file and, when it is a symbolic link, what it leads to.
func (t tree) copyFrom(source tree, name string) error {
	for range 16 {
		name = mergeUsr(name)
		n, ok := source[name]
		if !ok {
			return fmt.Errorf("no package has /%s", name)
		}
		t.addParents(name)
		t[name] = n
		if n.mode.Type() != fs.ModeSymlink {
			return nil
		}
		if path.IsAbs(n.target) {
			name = n.target
		} else {
			name = path.Join(path.Dir(name), n.target)
		}
	}
	return fmt.Errorf("symbolic links without an end at /%s", name)
}

// sorted returns the paths in order: parents before their children.
func (t tree) sorted() []string { return slices.Sorted(maps.Keys(t)) }

// writeTar writes the tree with every time set to the epoch and root as the owner.
func (t tree) writeTar(w io.Writer, epoch time.Time) error {
	archive := tar.NewWriter(w)
	for _, name := range t.sorted() {
		n := t[name]
		header := &tar.Header{Name: name, Mode: int64(n.mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
		if n.mode&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		switch n.mode.Type() {
		case fs.ModeDir:
			header.Typeflag, header.Name = tar.TypeDir, name+"/"
		case fs.ModeSymlink:
			header.Typeflag, header.Linkname = tar.TypeSymlink, n.target
		default:
			header.Typeflag, header.Size = tar.TypeReg, int64(len(n.data))
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := archive.Write(n.data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return archive.Close()
}
