// Package server starts real servers, for the tests and the conformance runner.
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	startsWithin   = 30 * time.Second
	defaultCommand = "../../.venv/bin/managedagents-server"
)

// Server is a server process. It is killed and started again on the same file and at the same address.
type Server struct {
	// Address is where it listens, from the first start on.
	Address string
	db      string
	flags   []string
	process *exec.Cmd
}

// Start starts a server on the file, with more flags. The command is MANAGEDAGENTS_SERVER_COMMAND, or that of the
// repository, as seen from the module's folder.
func Start(db string, flags ...string) (*Server, error) {
	server := &Server{Address: "127.0.0.1:0", db: db, flags: flags}
	if err := server.Restart(); err != nil {
		return nil, err
	}
	return server, nil
}

// Restart starts it again, after a Kill or a Terminate. It returns when the server listens.
func (s *Server) Restart() error {
	command := os.Getenv("MANAGEDAGENTS_SERVER_COMMAND")
	if command == "" {
		command = defaultCommand
	}
	arguments := append(strings.Fields(command), "--listen", s.Address, "--db", s.db)
	arguments = append(arguments, s.flags...)
	ctx, cancel := context.WithTimeout(context.Background(), startsWithin)
	defer cancel()
	stderr, err := os.OpenFile(s.db+".stderr", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer stderr.Close()
	process := exec.Command(arguments[0], arguments[1:]...)
	process.Stderr = stderr
	stdout, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return fmt.Errorf("%w; `make setup` in the repository installs a server", err)
	}
	s.process = process
	stop := context.AfterFunc(ctx, func() { _ = process.Process.Kill() })
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	address, isListening := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !stop() || !isListening {
		_ = s.Kill()
		said, _ := os.ReadFile(s.db + ".stderr")
		return fmt.Errorf("the server did not start: %s", said)
	}
	s.Address = address
	return nil
}

// Kill ends it by SIGKILL, where it is not over already.
func (s *Server) Kill() error {
	_, err := s.stop(syscall.SIGKILL)
	return err
}

// Terminate ends it by SIGTERM, and gives its exit code.
func (s *Server) Terminate() (int, error) {
	return s.stop(syscall.SIGTERM)
}

func (s *Server) stop(signal os.Signal) (int, error) {
	if s.process.ProcessState != nil {
		return s.process.ProcessState.ExitCode(), nil
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	var exit *exec.ExitError
	if err := s.process.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return s.process.ProcessState.ExitCode(), nil
}
