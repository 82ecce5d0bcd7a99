// Conformance plays scenarios through the client, against servers of its own, and prints their lines; tests/conformance
// of the repository says what they mean.
//
//	go run ./conformance SCENARIO_FILE...
//	go run ./conformance -compare SCENARIO_FILE...
//	go run ./conformance ACT ADDRESS SESSION ...
//
// It prints `scenario NAME` and the scenario's lines. With -compare it prints instead the first line of each scenario
// that differs from the .expected file beside it, and fails where there is one. An act is at a server that is there
// already.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	compared := flag.Bool("compare", false, "compare with the .expected files")
	flag.Parse()
	var err error
	if act, isAct := acts[flag.Arg(0)]; isAct {
		err = act.play(flag.Arg(0), flag.Args()[1:])
	} else {
		err = run(flag.Args(), *compared)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(paths []string, compared bool) (err error) {
	folder, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	servers := &servers{folder: folder, shared: map[string]*ownServer{}}
	defer func() { err = errors.Join(err, servers.end(), os.RemoveAll(folder)) }()
	differing := 0
	for _, path := range paths {
		scenario, err := read(path)
		if err != nil {
			return err
		}
		lines, err := servers.play(scenario)
		if err != nil {
			return fmt.Errorf("%s: %w", scenario.Name, err)
		}
		if !compared {
			fmt.Printf("scenario %s\n", scenario.Name)
			for _, line := range lines {
				fmt.Println(line)
			}
			continue
		}
		difference, err := compare(path, lines)
		if err != nil {
			return err
		}
		if difference != "" {
			differing++
			fmt.Printf("%s: %s\n", scenario.Name, difference)
		}
	}
	if compared {
		fmt.Printf("%d of %d scenarios are as expected\n", len(paths)-differing, len(paths))
	}
	if differing > 0 {
		return fmt.Errorf("%d scenarios differ", differing)
	}
	return nil
}

func read(path string) (scenario, error) {
	var read scenario
	text, err := os.ReadFile(path)
	if err != nil {
		return read, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	return read, decoder.Decode(&read)
}

// compare gives the first difference. Empty: there is none.
func compare(path string, lines []string) (string, error) {
	text, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".expected")
	if err != nil {
		return "", err
	}
	expected := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for index := range max(len(lines), len(expected)) {
		if got, want := at(lines, index), at(expected, index); got != want {
			return fmt.Sprintf("line %d differs\n  expected  %s\n  is        %s", index+1, want, got), nil
		}
	}
	return "", nil
}

func at(lines []string, index int) string {
	if index < len(lines) {
		return lines[index]
	}
	return "(nothing more)"
}
