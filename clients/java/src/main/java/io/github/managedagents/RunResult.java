package io.github.managedagents;

import io.github.managedagents.v1.ErrorEvent;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.Usage;
import java.util.List;
import java.util.Optional;

/**
 * How the turn of a message ended, or an outcome.
 *
 * @param seq the seq of the message, which numbers its turn; or of the outcome
 * @param stopReason as in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted,
 *     error, …; requires_action where nothing here can answer what the turn waits for; dropped where the message was
 *     dropped from the queue; outcome_evaluated where the turn of a message was judged; completed, failed, archived or
 *     deleted where the session ended. An outcome that is met ends in completed, one that is not in
 *     max_outcome_iterations. Empty: a reason that this version of the client does not know
 * @param text what the agent said last in the turn, or for the outcome; empty: nothing
 * @param events the events of the turn, or of the outcome's turns, in order of seq
 * @param usage what the turn cost, or the outcome's turns
 * @param error the last error of the turn that it did not go on from
 * @param waitsFor with requires_action, the ids of the tool uses that the turn waits for
 */
public record RunResult(
        long seq,
        String stopReason,
        String text,
        List<SessionEvent> events,
        Usage usage,
        Optional<ErrorEvent> error,
        List<String> waitsFor) {}
