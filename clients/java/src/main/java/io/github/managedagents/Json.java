package io.github.managedagents;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.Strictness;
import com.google.gson.ToNumberPolicy;

/** JSON as this client reads and writes it: whole numbers stay whole, what is no JSON is refused, nothing is left out. */
final class Json {
    static final Gson GSON = new GsonBuilder()
            .setStrictness(Strictness.STRICT)
            .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .disableHtmlEscaping()
            .serializeNulls()
            .create();

    private Json() {}

    /** Compact, and characters as they are: Gson always escapes two that JSON has no need to. */
    static String write(Object value) {
        // An escape is one only after an even number of backslashes.
        String escape = "(?<!\\\\)((?:\\\\\\\\)*)\\\\u202";
        return GSON.toJson(value).replaceAll(escape + "8", "$1\u2028").replaceAll(escape + "9", "$1\u2029");
    }
}
