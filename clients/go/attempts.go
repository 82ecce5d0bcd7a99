package managedagents

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// At most, before the second attempt.
	firstDelay = 100 * time.Millisecond
	// At most, between any two attempts: a server that is back is found within this.
	longestDelay = 3 * time.Second
	delayGrowth  = 1.7
)

// attempts are those at one thing. The zero value has made none.
type attempts struct {
	since   time.Time
	ceiling time.Duration
	// How the last one failed.
	last *Error
}

// wait waits for the time of the next attempt. Its error: the failure, where another attempt would not mend it or the
// client has no patience for one; or that the context is over.
func (a *attempts) wait(ctx context.Context, c *Client, failure *Error) error {
	if a.since.IsZero() {
		a.since = time.Now()
	}
	a.last = failure
	delay := a.delay(failure.RetryAfter)
	if !failure.passes || time.Since(a.since)+delay > c.away() {
		return failure
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return a.over(ctx)
	}
}

// delay grows, with jitter, so that clients that lost one server do not all come back at once: it is between half the
// present ceiling and all of it, and never less than the server asked for.
func (a *attempts) delay(atLeast *time.Duration) time.Duration {
	ceiling := max(a.ceiling, firstDelay)
	a.ceiling = min(time.Duration(float64(ceiling)*delayGrowth), longestDelay)
	delay := ceiling/2 + rand.N(ceiling/2+1)
	if atLeast != nil {
		delay = max(delay, *atLeast)
	}
	return delay
}

// over is the error of a context that is over, with what the server said before that.
func (a *attempts) over(ctx context.Context) error {
	if a.last == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w; before that: %w", ctx.Err(), a.last)
}

// away is how long a server may be: short until it has answered once, so that a wrong address is told soon.
func (c *Client) away() time.Duration {
	if c.heard.Load() || c.patience == 0 {
		return c.patience
	}
	return c.connectTimeout
}
