package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/managedagents/managedagents/clients/go/internal/server"
)

// ownServer is a server with its log, where the hands find it.
type ownServer struct {
	*server.Server
	db string
}

// byHand has something done to the server from outside.
func (s *ownServer) byHand(ctx context.Context, given object) error {
	command := strings.Fields(os.Getenv("MANAGEDAGENTS_SERVER_COMMAND"))
	if len(command) == 0 {
		return errors.New("MANAGEDAGENTS_SERVER_COMMAND says whom to ask: `make conformance` sets it")
	}
	command = append(command, "--by-hand", dump(given), "--db", s.db, "--address", s.Address)
	said, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// servers are shared by the scenarios that start theirs in the same way and do nothing to it.
type servers struct {
	folder string
	shared map[string]*ownServer
	count  int
}

func (s *servers) play(scenario scenario) (lines []string, err error) {
	if hasItsOwn(scenario) {
		own, err := s.start(flags(scenario))
		if err != nil {
			return nil, err
		}
		lines, err := play(scenario, own)
		return lines, errors.Join(err, own.Kill())
	}
	key := strings.Join(flags(scenario), " ")
	if s.shared[key] == nil {
		started, err := s.start(flags(scenario))
		if err != nil {
			return nil, err
		}
		s.shared[key] = started
	}
	return play(scenario, s.shared[key])
}

func (s *servers) start(flags []string) (*ownServer, error) {
	s.count++
	// A folder each: what stands in a server's place may want one for itself.
	folder := filepath.Join(s.folder, fmt.Sprint(s.count))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	db := filepath.Join(folder, "log.db")
	started, err := server.Start(db, flags...)
	return &ownServer{started, db}, err
}

func (s *servers) end() (err error) {
	for _, server := range s.shared {
		err = errors.Join(err, server.Kill())
	}
	return err
}

func flags(scenario scenario) []string {
	flags := slices.Clone(scenario.Server.Flags)
	for name, value := range scenario.Server.Limits {
		flags = append(flags, fmt.Sprintf("--limit=%s=%s", name, value))
	}
	slices.Sort(flags)
	return flags
}

// hasItsOwn tells whether a scenario does to its server what others should not feel.
func hasItsOwn(scenario scenario) bool {
	verbs := []string{"kill", "terminate", "stop", "start_again", "by_hand"}
	return slices.ContainsFunc(scenario.Steps, func(step object) bool {
		return slices.ContainsFunc(verbs, func(verb string) bool { return step[verb] != nil })
	})
}
