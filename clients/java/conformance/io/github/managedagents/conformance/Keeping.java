package io.github.managedagents.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.github.managedagents.Client;
import io.github.managedagents.Events;
import io.github.managedagents.Follow;
import io.github.managedagents.ManagedAgentsException;
import io.github.managedagents.v1.SessionEvent;
import java.util.List;

/** The verb keep_following: the client's own follow, which goes on over as many streams as it takes. */
final class Keeping {
    private final List<String> said;
    private final Lines lines;
    private Follow<SessionEvent> follow;

    Keeping(List<String> said, Lines lines) {
        this.said = said;
        this.lines = lines;
    }

    void leave() {
        if (follow != null) {
            follow.close();
        }
        follow = null;
    }

    /** Up to an event of the kind, or to the end. */
    void goOn(Client client, String session, JsonObject given) {
        String kind = given.has("kind") ? given.get("kind").getAsString() : "";
        JsonElement wanted = given.has("has") ? given.get("has") : new JsonObject();
        if (follow == null) {
            follow = client.follow(session, 0);
        }
        try {
            for (SessionEvent event : follow) {
                said.add(lines.event(event));
                if (Events.kindOf(event).equals(kind) && Lines.has(lines.payload(event), wanted)) {
                    return;
                }
            }
            said.add("keep_following ended "
                    + Lines.dump(lines.message(follow.ended().orElseThrow())));
        } catch (ManagedAgentsException error) {
            said.add("keep_following " + lines.failure(error));
        }
        leave();
    }
}
