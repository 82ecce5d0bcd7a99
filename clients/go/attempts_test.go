package managedagents

import (
	"testing"
	"time"
)

func TestDelaysGrowWithJitterUpToTheLongest(t *testing.T) {
	var attempts attempts
	ceiling := firstDelay
	for range 20 {
		delay := attempts.delay(nil)
		if delay < ceiling/2 || delay > ceiling {
			t.Fatalf("%s is not between half of %s and all of it", delay, ceiling)
		}
		ceiling = min(time.Duration(float64(ceiling)*delayGrowth), longestDelay)
	}
	if ceiling != longestDelay {
		t.Errorf("%s is not the longest", ceiling)
	}
}

func TestADelayIsNeverLessThanTheServerAskedFor(t *testing.T) {
	var attempts attempts
	asked := time.Minute
	if delay := attempts.delay(&asked); delay != asked {
		t.Error(delay)
	}
}
