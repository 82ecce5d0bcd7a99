package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// act is what the program can do beside scenarios, for tests in which several languages meet.
type act struct {
	// What it is given, after the address and the session.
	usage string
	// So many of them must be there.
	needs int
	do    func(ctx context.Context, client *managedagents.Client, sessionID string, given []string) error
}

var acts = map[string]act{
	"follow": {"COUNT", 1, actFollow},
	"run":    {"TEXT [TOOL=VALUE ...]", 1, actRun},
	"answer": {"VALUE", 1, actAnswer},
	"log":    {"", 0, actLog},
}

// play does the act. A reader on the other side of a pipe sees each line at once: os.Stdout has no buffer.
func (a act) play(name string, given []string) (err error) {
	if len(given) < 2+a.needs {
		return fmt.Errorf("usage: conformance %s ADDRESS SESSION %s", name, a.usage)
	}
	client, err := managedagents.Connect(given[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return a.do(context.Background(), client, given[1], given[2:])
}

func actFollow(ctx context.Context, client *managedagents.Client, sessionID string, given []string) error {
	count, err := strconv.ParseUint(given[0], 10, 16)
	if err != nil || count == 0 {
		return fmt.Errorf("%q is no number of followers", given[0])
	}
	seen, begun := make([][]uint64, count), make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	for number := range seen {
		group.Go(func() (err error) {
			seen[number], err = seqs(ctx, client, sessionID, begun)
			return err
		})
	}
	group.Go(func() error {
		for range seen {
			select {
			case <-begun:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		fmt.Println("following")
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if wrong := otherThanAll(seen); len(wrong) > 0 {
		return fmt.Errorf("followers %d saw something else", wrong)
	}
	fmt.Printf("%d followers, %d events each\n", count, len(seen[0]))
	return nil
}

// seqs are those of the whole session. After the first of them it says that it has begun.
func seqs(
	ctx context.Context, client *managedagents.Client, sessionID string, begun chan<- struct{},
) (seqs []uint64, err error) {
	for event, err := range client.Follow(sessionID, 0).Events(ctx) {
		if err != nil {
			return nil, err
		}
		if seqs = append(seqs, event.Seq); len(seqs) > 1 {
			continue
		}
		select {
		case begun <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if len(seqs) == 0 {
		return nil, errors.New("the session was over before its first event was seen")
	}
	return seqs, nil
}

// otherThanAll are the followers that did not see each seq once, in order, up to the last that any of them saw.
func otherThanAll(seen [][]uint64) (wrong []int) {
	last := uint64(0)
	for _, seqs := range seen {
		for _, seq := range seqs {
			last = max(last, seq)
		}
	}
	for number, seqs := range seen {
		isWrong := uint64(len(seqs)) != last
		for index, seq := range seqs {
			isWrong = isWrong || seq != uint64(index+1)
		}
		if isWrong {
			wrong = append(wrong, number)
		}
	}
	return wrong
}

func actRun(ctx context.Context, client *managedagents.Client, sessionID string, given []string) error {
	tools := managedagents.Tools{}
	for _, tool := range given[1:] {
		name, value, _ := strings.Cut(tool, "=")
		tools[name] = func(context.Context, json.RawMessage) (any, error) { return value, nil }
	}
	message := managedagents.UserMessage(given[0])
	result, err := client.Run(ctx, sessionID, message, managedagents.WithTools(tools))
	if err != nil {
		return err
	}
	fmt.Println(result.StopReason, result.Text)
	return nil
}

func actAnswer(ctx context.Context, client *managedagents.Client, sessionID string, given []string) error {
	for event, err := range client.Follow(sessionID, 0).Events(ctx) {
		if err != nil {
			return err
		}
		use := event.GetAgentCustomToolUse()
		if use == nil {
			continue
		}
		action := &v1.PendingAction{
			ToolUseId: use.CustomToolUseId, Kind: v1.PendingActionKind_PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT}
		result := managedagents.ResultEvent(action, []*v1.Content{managedagents.Text(given[0])}, false)
		if _, err := client.SendEvent(ctx, &v1.SendEventRequest{SessionId: sessionID, Event: result}); err != nil {
			return err
		}
		fmt.Println("answered", use.CustomToolUseId)
		return nil
	}
	return errors.New("the session was over before a custom tool was used")
}

func actLog(ctx context.Context, client *managedagents.Client, sessionID string, _ []string) error {
	follow := client.Follow(sessionID, 0)
	for event, err := range follow.Events(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(event.Seq, managedagents.KindOf(event))
	}
	ended := follow.Ended()
	reason := strings.ToLower(strings.TrimPrefix(ended.Reason.String(), "STREAM_END_REASON_"))
	fmt.Println("ended", reason, ended.LastSeq)
	return nil
}
