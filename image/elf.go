package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"strings"
)

// libraryDirs are where Debian's dynamic loader looks without being told.
var libraryDirs = []string{"usr/lib/x86_64-linux-gnu", "usr/lib"}

// addProgram copies a program with its dynamic loader and all libraries that it is linked with.
func (t tree) addProgram(debian tree, name string) error {
	if err := t.copyFrom(debian, name); err != nil {
		return err
	}
	return t.addLibraries(debian, debian.resolve(name), debian[debian.resolve(name)].data)
}

// addLibraries copies what an executable that is in the tree already needs to run.
func (t tree) addLibraries(debian tree, name string, data []byte) error {
	needed, err := linkedWith(data)
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	for _, library := range needed {
		file := library
		if !path.IsAbs(library) {
			if file = debian.findLibrary(library); file == "" {
				return fmt.Errorf("/%s needs %s, which no package has", name, library)
			}
		}
		if _, have := t[mergeUsr(file)]; have {
			continue
		}
		if err := t.addProgram(debian, file); err != nil {
			return err
		}
	}
	return nil
}

func (t tree) findLibrary(name string) string {
	for _, dir := range libraryDirs {
		if file := path.Join(dir, name); t.resolve(file) != "" {
			return file
		}
	}
	return ""
}

// linkedWith lists the names of an ELF file's libraries, and the path of its loader. It is empty for a static program.
func linkedWith(data []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if file.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("a program for %s, not x86-64", file.Machine)
	}
	needed, err := file.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, segment := range file.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		loader := make([]byte, segment.Filesz)
		if _, err := segment.ReadAt(loader, 0); err != nil {
			return nil, err
		}
		needed = append(needed, strings.TrimRight(string(loader), "\x00"))
	}
	return needed, nil
}

// isELF tells programs and libraries from scripts and data.
func isELF(data []byte) bool { return bytes.HasPrefix(data, []byte(elf.ELFMAG)) }
