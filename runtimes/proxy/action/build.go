package action

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"rewind-bench/proxy/reaper"
)

// Builder makes executables below Folder, each action in a numbered folder.
type Builder struct {
	Folder string
	// Compiler is called as `Compiler MAIN SRC BIN` and must make BIN/exec; "" for none.
	Compiler string
	Reaper   *reaper.Reaper
	// Log gets what a successful compiler printed.
	Log io.Writer
}

// Build unpacks and compiles code and returns the path of the executable.
func (b *Builder) Build(code []byte, main string, env []string) (string, error) {
	folder, err := b.next()
	if err != nil {
		return "", err
	}
	source, binary := filepath.Join(folder, "src"), filepath.Join(folder, "bin")
	if err := Unpack(code, source); err != nil {
		return "", err
	}
	if b.Compiler == "" || compiled(filepath.Join(source, "exec")) {
		err = os.Rename(source, binary)
	} else {
		err = b.compile(main, source, binary, env)
	}
	if err != nil {
		return "", err
	}
	executable := filepath.Join(binary, "exec")
	if info, err := os.Stat(executable); err != nil || !info.Mode().IsRegular() {
		return "", errors.New("the action has no executable 'exec'")
	}
	return executable, os.Chmod(executable, 0o755)
}

// next makes the folder of a new action: a number above all that exist.
func (b *Builder) next() (string, error) {
	base, err := filepath.Abs(b.Folder)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return "", err
	}
	highest := 0
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil && number > highest {
			highest = number
		}
	}
	folder := filepath.Join(base, strconv.Itoa(highest+1))
	return folder, os.Mkdir(folder, 0o755)
}

func (b *Builder) compile(main, source, binary string, env []string) error {
	if err := os.Mkdir(binary, 0o755); err != nil {
		return err
	}
	output, err := os.CreateTemp("", "compile")
	if err != nil {
		return err
	}
	defer output.Close()
	if err := os.Remove(output.Name()); err != nil {
		return err
	}
	command := exec.Command(b.Compiler, main, source, binary)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	command.Stdout, command.Stderr = output, output
	child, err := b.Reaper.Start(command)
	if err != nil {
		return fmt.Errorf("cannot start the compile step: %w", err)
	}
	<-child.Done()
	said, err := readBack(output)
	if err != nil {
		return err
	}
	if child.Success() {
		_, err = b.Log.Write(said)
		return err
	}
	if said = bytes.TrimSpace(said); len(said) > 0 {
		return errors.New(string(said))
	}
	return fmt.Errorf("the compile step failed: %s", child.Status())
}

func readBack(file *os.File) ([]byte, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// compiled tells whether a file is a program of this system already.
func compiled(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	magic := make([]byte, 4)
	_, err = io.ReadFull(file, magic)
	return err == nil && string(magic) == "\x7fELF"
}
