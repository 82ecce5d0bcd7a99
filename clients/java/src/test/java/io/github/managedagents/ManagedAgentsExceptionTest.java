package io.github.managedagents;

import static io.github.managedagents.support.Said.info;
import static io.github.managedagents.support.Said.refusal;
import static io.github.managedagents.support.Said.retryAfter;
import static io.github.managedagents.support.Said.violation;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.ManagedAgentsException.FieldViolation;
import io.github.managedagents.v1.ErrorReason;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** From a status to an exception. */
class ManagedAgentsExceptionTest {
    @Test
    void everyReasonOfTheProtoHasAClass() {
        Set<String> names = Stream.of(ErrorReason.values())
                .filter(reason -> reason != ErrorReason.UNRECOGNIZED && reason != ErrorReason.ERROR_REASON_UNSPECIFIED)
                .map(reason -> reason.name().replace("ERROR_REASON_", ""))
                .collect(Collectors.toSet());
        for (String name : names) {
            ManagedAgentsException error = exception(refusal(Status.Code.FAILED_PRECONDITION, name));
            assertEquals(name, error.reason());
            assertFalse(error.getClass() == ManagedAgentsException.class, name);
        }
    }

    @Test
    void anUnknownReasonIsTheBaseErrorWithThatReason() {
        ManagedAgentsException error = exception(refusal(Status.Code.FAILED_PRECONDITION, "NEW_ONE"));
        assertSame(ManagedAgentsException.class, error.getClass());
        assertEquals("NEW_ONE", error.reason());
        assertEquals("refused", error.getMessage());
    }

    @Test
    void aCallWhoseConnectionClosesAsItStartsMetNoServerAndIsMadeAgain() {
        ManagedAgentsException error = exception(Status.UNKNOWN
                .withCause(new IllegalStateException(new ClosedChannelException()))
                .asRuntimeException());
        assertInstanceOf(ManagedAgentsException.NoAnswer.class, error);
        assertEquals(Status.Code.UNAVAILABLE, error.code());
        assertTrue(error.isPassing());
        assertFalse(
                exception(Status.UNKNOWN.withCause(new IllegalStateException()).asRuntimeException())
                        .isPassing());
    }

    @Test
    void violationsMetadataAndDelayAreCarried() {
        ManagedAgentsException bad = exception(refusal(
                Status.Code.INVALID_ARGUMENT,
                info("managedagents", "INVALID_REQUEST", Map.of()),
                violation("definition.name", "is required")));
        assertInstanceOf(ManagedAgentsException.InvalidRequest.class, bad);
        assertEquals(List.of(new FieldViolation("definition.name", "is required")), bad.violations());
        assertFalse(bad.isPassing());
        ManagedAgentsException full = exception(refusal(
                Status.Code.RESOURCE_EXHAUSTED,
                info("managedagents", "LIMIT_EXCEEDED", Map.of("limit", "streams", "value", "3")),
                retryAfter(1)));
        assertInstanceOf(ManagedAgentsException.LimitExceeded.class, full);
        assertEquals(Map.of("limit", "streams", "value", "3"), full.metadata());
        assertEquals(Optional.of(Duration.ofMillis(1)), full.retryAfter());
        assertTrue(full.isPassing());
    }

    @Test
    void aReasonOfAnotherDomainIsNotOurs() {
        var error = exception(refusal(Status.Code.NOT_FOUND, info("elsewhere", "SESSION_NOT_FOUND", Map.of())));
        assertEquals("", error.reason());
        assertEquals(Status.Code.NOT_FOUND, error.code());
    }

    @Test
    void detailsThatCannotBeReadLeaveTheCode() {
        Metadata trailers = new Metadata();
        trailers.put(
                Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER),
                "\u00ff\u00ff".getBytes(StandardCharsets.ISO_8859_1));
        ManagedAgentsException error =
                exception(Status.DATA_LOSS.withDescription("words").asRuntimeException(trailers));
        assertEquals(Status.Code.DATA_LOSS, error.code());
        assertTrue(error.getMessage().contains("words"));
    }

    private static ManagedAgentsException exception(StatusRuntimeException failure) {
        return ManagedAgentsException.of(failure, "host:1", true);
    }
}
