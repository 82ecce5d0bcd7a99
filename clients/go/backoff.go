package managedagents

import (
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

// backoffDelays grow, with jitter, so that clients that lost one server do not all come back at once. The zero value
// begins anew.
type backoffDelays struct{ ceiling time.Duration }

// next is between half the present ceiling and all of it, and never less than the server asked for.
func (b *backoffDelays) next(atLeast *time.Duration) time.Duration {
	ceiling := max(b.ceiling, firstDelay)
	b.ceiling = min(time.Duration(float64(ceiling)*delayGrowth), longestDelay)
	delay := ceiling/2 + rand.N(ceiling/2+1)
	if atLeast != nil {
		delay = max(delay, *atLeast)
	}
	return delay
}
