// Package action turns the code of an init request into an executable: unpack,
// then the image's compile step.
package action

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Unpack writes code (a zip, a tar.gz, or one file, which becomes "exec") below
// the folder target, which it creates. Everything is readable by every user and
// writable by the owner only, whatever the archive says.
func Unpack(code []byte, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(code, []byte("PK\x03\x04")), bytes.HasPrefix(code, []byte("PK\x05\x06")):
		return unzip(code, target)
	case bytes.HasPrefix(code, []byte("\x1f\x8b")):
		return untar(code, target)
	}
	return write(target, "exec", 0o755, bytes.NewReader(code))
}

func unzip(code []byte, target string) error {
	archive, err := zip.NewReader(bytes.NewReader(code), int64(len(code)))
	if err != nil {
		return fmt.Errorf("cannot read the zip archive: %w", err)
	}
	for _, entry := range archive.File {
		if err := unzipEntry(entry, target); err != nil {
			return fmt.Errorf("cannot unpack %q: %w", entry.Name, err)
		}
	}
	return nil
}

func unzipEntry(entry *zip.File, target string) error {
	if entry.Mode().IsDir() {
		return folder(target, entry.Name)
	}
	content, err := entry.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	if entry.Mode()&fs.ModeSymlink != 0 {
		to, err := io.ReadAll(io.LimitReader(content, 4096))
		if err != nil {
			return err
		}
		return link(target, entry.Name, string(to))
	}
	if !entry.Mode().IsRegular() {
		return errors.New("neither file, folder nor symbolic link")
	}
	return write(target, entry.Name, entry.Mode(), content)
}

func untar(code []byte, target string) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(code))
	if err != nil {
		return fmt.Errorf("cannot read the gzip archive: %w", err)
	}
	archive := tar.NewReader(unzipped)
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the tar archive: %w", err)
		}
		if err := untarEntry(entry, archive, target); err != nil {
			return fmt.Errorf("cannot unpack %q: %w", entry.Name, err)
		}
	}
}

func untarEntry(entry *tar.Header, content io.Reader, target string) error {
	switch entry.Typeflag {
	case tar.TypeDir:
		return folder(target, entry.Name)
	case tar.TypeReg:
		return write(target, entry.Name, entry.FileInfo().Mode(), content)
	case tar.TypeSymlink:
		return link(target, entry.Name, entry.Linkname)
	case tar.TypeXGlobalHeader:
		return nil
	}
	return errors.New("neither file, folder nor symbolic link")
}

// place returns where a member goes, with its parent folders made. A name that
// leaves the folder, or whose parent is not a real folder, is refused.
func place(target, name string) (string, error) {
	local := filepath.Clean(strings.TrimPrefix(name, "./"))
	if !filepath.IsLocal(local) {
		return "", errors.New("the name leaves the action's folder")
	}
	parts := strings.Split(local, string(filepath.Separator))
	path := target
	for _, part := range parts[:len(parts)-1] {
		path = filepath.Join(path, part)
		if err := realFolder(path); err != nil {
			return "", err
		}
	}
	return filepath.Join(target, local), nil
}

func realFolder(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Mkdir(path, 0o755)
	}
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a folder", filepath.Base(path))
	}
	return err
}

func folder(target, name string) error {
	path, err := place(target, name)
	if err != nil || path == filepath.Clean(target) {
		return err
	}
	return realFolder(path)
}

func link(target, name, to string) error {
	path, err := place(target, name)
	if err != nil {
		return err
	}
	return os.Symlink(to, path)
}

func write(target, name string, mode fs.FileMode, content io.Reader) error {
	path, err := place(target, name)
	if err != nil {
		return err
	}
	permissions := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		permissions = 0o755
	}
	// Never through a link that the archive brought; a member named twice: the last one counts.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, permissions)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if err := file.Chmod(permissions); err != nil { // whatever the umask
		return err
	}
	return file.Close()
}
