package io.github.managedagents;

/**
 * What is decided on a tool use that waits for permission.
 *
 * @param isAllowed whether the tool may run
 * @param why what the model is told of a denial; empty: a standard sentence
 */
public record Decision(boolean isAllowed, String why) {
    /** The tool may run. */
    public static Decision allow() {
        return new Decision(true, "");
    }

    /** The tool must not run. */
    public static Decision deny() {
        return deny("");
    }

    /** The tool must not run, and the model is told why. */
    public static Decision deny(String why) {
        return new Decision(false, why);
    }
}
