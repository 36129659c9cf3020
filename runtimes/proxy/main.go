// Command proxy is the action proxy of a rewind-bench container: HTTP on one
// side, a launcher speaking OpenWhisk's ActionLoop protocol on the other.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"rewind-bench/proxy/launcher"
	"rewind-bench/proxy/reaper"
	"rewind-bench/proxy/server"
)

// proof is the kernel's word for a restore, where the image's scheme permits its launcher
// to checkpoint itself: the compile step is in common/, the permission in scheme/ beside it.
func proof(compiler string) launcher.Generation {
	base := filepath.Dir(filepath.Dir(compiler))
	if _, err := os.Stat(filepath.Join(base, "scheme", "permit")); err != nil {
		return nil
	}
	return launcher.KernelGeneration
}

func main() {
	listen := flag.String("listen", ":8080", "address to listen on")
	folder := flag.String("actions", "./action", "folder below which actions are unpacked")
	flag.Parse()
	if err := private(); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}

	proxy := server.New(server.Settings{
		Folder:      *folder,
		Compiler:    os.Getenv("OW_COMPILER"),
		Environ:     os.Environ(),
		ReasonToLog: os.Getenv("OW_LOG_INIT_ERROR") != "",
		Generation:  proof(os.Getenv("OW_COMPILER")),
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
	}, reaper.New())

	// The first process of a container gets no default action for signals.
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ends
		proxy.Close()
		os.Exit(0)
	}()

	err := http.ListenAndServe(*listen, proxy.Handler())
	if !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}
