"""Chats with tools: definitions, calls, responses; some that need none of the tools on offer."""

import json

import world
from chats import SYSTEMS, thinking, turn
from stories import BEASTS, capital
from topics import about_me, ask_sum, compact, country, fun, person, small_talk, story, why


def param(kind, description=None, **more):
    value = {"type": kind}
    if description:
        value["description"] = description
    value.update(more)
    return value


def tool_weather(r):
    city = r.choice(world.CITIES)
    key = r.choice(("city", "city", "location", "place"))
    name = r.choice(("get_weather", "get_weather", "get_current_weather", "weather",
                     "fetch_weather", "check_weather"))
    ask = r.choice((f"What is the weather in {city}?", f"What is the weather like in {city}?",
                    f"How is the weather in {city}?", f"weather in {city}", f"Is it raining in "
                    f"{city}?", f"What is the weather today in {city}?",
                    f"Tell me the weather in {city}.", f"What's the weather in {city} today?"))
    degrees, sky = r.randint(-9, 38), r.choice(("sunny", "cloudy", "rainy", "windy", "foggy",
                                                "snowy", "clear"))
    props = {key: param("string", r.choice(("The name of the city", "The city", None,
                                            "City name, for example Paris")))}
    arguments = {key: city}
    if r.random() < 0.2:
        props["format"] = param("string", "The unit", enum=["celsius", "fahrenheit"])
        arguments["format"] = "celsius"
    result = r.choice((f"{degrees} degrees, {sky}", f"{degrees}°C and {sky}",
                       f"{sky}, {degrees} C", compact({"temperature": degrees, "sky": sky}),
                       compact({"temp": degrees, "conditions": sky}),
                       json.dumps({"city": city, "temperature": degrees, "weather": sky})))
    answer = f"The weather in {city} is {sky}, with {degrees} degrees."
    words = r.choice(("Get the weather for a city", "Get the current weather for a city",
                      "Weather of a place", "Looks up the weather"))
    return name, words, props, list(arguments), ask, arguments, result, answer


def tool_temperature(r):
    city, degrees = r.choice(world.CITIES), r.randint(-9, 38)
    key = r.choice(("city", "city", "location"))
    ask = r.choice((f"What is the temperature in {city}?", f"How warm is it in {city}?",
                    f"How cold is it in {city}?", f"temperature in {city}"))
    result = r.choice((f"{degrees}", f"{degrees}°C", f"{degrees} degrees",
                       compact({"temperature": degrees})))
    return (r.choice(("get_temperature", "temperature", "get_current_temperature")),
            r.choice(("Get the temperature of a city", "Get the current temperature for a city")),
            {key: param("string", r.choice(("The name of the city", None)))}, [key], ask,
            {key: city}, result, f"The temperature in {city} is {degrees} degrees.")


def tool_time(r):
    city = r.choice(world.CITIES)
    clock = f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
    key = r.choice(("city", "city", "location", "timezone"))
    ask = r.choice((f"What time is it in {city}?", f"What is the time in {city}?",
                    f"time in {city}", f"Tell me the time in {city}."))
    result = r.choice((clock, compact({"time": clock}), f"It is {clock}"))
    return (r.choice(("get_time", "get_time", "get_current_time", "clock", "time_in_city")),
            r.choice(("Get the time in a city", "Get the current time", "Local time of a city")),
            {key: param("string", r.choice(("The name of the city", "The city", None)))}, [key],
            ask, {key: city}, result, f"It is {clock} in {city}.")


def tool_numbers(r):
    op, word = r.choice((("+", "add"), ("+", "add"), ("-", "subtract"), ("*", "multiply")))
    a, b = r.randint(0, 99), r.randint(0, 99)
    if r.random() < 0.3:
        a, b = r.randint(100, 999), r.randint(10, 999)
    value = {"+": a + b, "-": a - b, "*": a * b}[op]
    names = {"add": ("add", "add", "add_two_numbers", "sum", "add_numbers"),
             "subtract": ("subtract", "subtract_two_numbers", "minus"),
             "multiply": ("multiply", "multiply_numbers", "times")}[word]
    x, y = r.choice((("a", "b"), ("a", "b"), ("x", "y"), ("first", "second")))
    number = r.choice(("integer", "number"))
    verb = {"+": "Add {} and {}", "-": "Subtract {1} from {0}", "*": "Multiply {} by {}"}[op]
    ask = r.choice((ask_sum(r, a, op, b), verb.format(a, b), f"What is {a} {op} {b}?"))
    props = {x: param(number, r.choice(("The first number", None))),
             y: param(number, r.choice(("The second number", None)))}
    result = r.choice((str(value), str(value), compact({"result": value})))
    return (r.choice(names), r.choice((f"{capital(word)} two numbers",
                                       f"{capital(word)}s two numbers")), props, [x, y], ask,
            {x: a, y: b}, result, f"{a} {op} {b} = {value}")


def tool_search(r):
    topic = r.choice(world.UNKNOWN_TOPICS + BEASTS)
    key = r.choice(("query", "query", "q", "text"))
    ask = r.choice((f"Search for {topic}.", f"Search the web for {topic}.", f"Look up {topic}.",
                    f"Find something about {topic}."))
    who = person(r)
    result = f"{capital(topic)}: an article by {who}"
    return (r.choice(("search", "web_search", "search_web", "lookup")),
            r.choice(("Search the web", "Search for a text", "Find pages about a topic")),
            {key: param("string", r.choice(("The search text", None)))}, [key], ask, {key: topic},
            result, f"I found this: {result}.")


def tool_population(r):
    name = r.choice(sorted(world.COUNTRIES))
    number = r.randint(1, 900)
    return (r.choice(("get_population", "population")), "Get the population of a country",
            {"country": param("string", r.choice(("The country", None)))}, ["country"],
            r.choice((f"How many people live in {name}?", f"What is the population of {name}?")),
            {"country": name}, r.choice((f"{number} million", compact({"millions": number}))),
            f"About {number} million people live in {name}.")


def tool_home(r):
    room = r.choice("kitchen bedroom hall garden office bathroom garage".split())
    state = r.choice(("on", "off"))
    return (r.choice(("set_light", "switch_light", "light")), "Switch a light on or off",
            {"room": param("string", r.choice(("The room", None))),
             "state": param("string", None, enum=["on", "off"])}, ["room", "state"],
            r.choice((f"Turn {state} the light in the {room}.",
                      f"Switch the {room} light {state}.", f"Turn the {room} light {state}.")),
            {"room": room, "state": state}, r.choice(("ok", "done", compact({"ok": True}))),
            f"The light in the {room} is {state} now.")


def tool_timer(r):
    n = r.randint(1, 60)
    return (r.choice(("set_timer", "start_timer", "timer")), "Start a timer",
            {"minutes": param("integer", r.choice(("The minutes", None)))}, ["minutes"],
            r.choice((f"Set a timer for {n} minutes.", f"Start a timer of {n} minutes.",
                      f"Wake me in {n} minutes.")),
            {"minutes": n}, r.choice(("ok", "done", "timer started")),
            f"The timer is set to {n} minutes.")


def tool_message(r):
    who, text = person(r), r.choice(("I am late", "see you soon", "happy birthday", "call me",
                                     "dinner is ready", "thank you", "good night"))
    return (r.choice(("send_message", "send_text", "message")), "Send a message to a person",
            {"to": param("string", r.choice(("The person", None))),
             "text": param("string", r.choice(("The message", None)))}, ["to", "text"],
            r.choice((f"Send a message to {who}: {text}", f"Write to {who}: {text}",
                      f"Tell {who}: {text}")),
            {"text": text, "to": who}, r.choice(("sent", "ok", "done")),
            f"I sent your message to {who}.")


TOOLS = ((tool_weather, 5), (tool_temperature, 2), (tool_time, 3), (tool_numbers, 4),
         (tool_search, 2), (tool_population, 1), (tool_home, 1), (tool_timer, 1),
         (tool_message, 1))


def definition(r, tool):
    """The JSON of a tool; the key order of `parameters` differs between clients."""
    name, words, props, required = tool[:4]
    parameters = {"type": "object", "required": required, "properties": props}
    if r.random() < 0.3:
        parameters = {"type": "object", "properties": props, "required": required}
    value = {"type": "function",
             "function": {"name": name, "description": words, "parameters": parameters}}
    return json.dumps(value) if r.random() < 0.15 else compact(value)


def tools_text(r, tools, system):
    lines = "\n".join(definition(r, t) for t in tools)
    return ((system + "\n\n" if system else "") + "# Tools\n\nYou may call one or more functions.\n"
            "<tools>\n" + lines + "\n</tools>\nTo call a function, write its name and its "
            "arguments as JSON:\n<tool_call>\n{\"name\":NAME,\"arguments\":OBJECT}\n</tool_call>")


def call_text(tool):
    arguments = dict(sorted(tool[5].items()))
    return "<tool_call>\n" + compact({"name": tool[0], "arguments": arguments}) + "\n</tool_call>"


def tool_turns(r, tool, think):
    """Question, call, response, answer; or only up to the call."""
    text = turn("user", tool[4])
    first = f"I can use the function {tool[0]} for this."
    shown = think and r.random() < 0.6      # not every client sends earlier thoughts back
    text += turn("assistant", (thinking(first) if shown else "") + call_text(tool))
    text += turn("user", f"<tool_response>\n{tool[6]}\n</tool_response>")
    second = "The function gave me the answer."
    return text + turn("assistant", (thinking(second) if think else "") + tool[7])


def tool_chat(r):
    """One to three tools on offer; one of them fits the question, or none does."""
    makers = []
    while len(makers) < r.choice((1, 1, 2, 2, 3)):
        maker = r.choices([t for t, _ in TOOLS], [w for _, w in TOOLS])[0]
        if maker not in makers:
            makers.append(maker)
    tools = [maker(r) for maker in makers]
    system = r.choice(SYSTEMS) if r.random() < 0.3 else None
    text = turn("system", tools_text(r, tools, system))
    think = r.random() < 0.4
    if r.random() < 0.2:
        question, thought, answer = r.choice((small_talk, story, country, why, about_me, fun))(r)
        return text + turn("user", question) + turn(
            "assistant", (thinking(thought) if think else "") + answer)
    r.shuffle(tools)
    if len(tools) > 1 and r.random() < 0.12:
        return text + two_calls(tools, think)
    count = 2 if len(tools) > 1 and r.random() < 0.15 else 1
    for i, tool in enumerate(tools[:count]):
        text += tool_turns(r, tool, think and i == count - 1)
    return text


def two_calls(tools, think):
    a, b = tools[:2]
    second = b[4][0].lower() + b[4][1:] if b[4][:2] != "I " else b[4]
    text = turn("user", a[4].rstrip("?.") + " and " + second)
    thought = f"I can use the functions {a[0]} and {b[0]} for this."
    text += turn("assistant", (thinking(thought) if think else "") + call_text(a) + "\n"
                 + call_text(b))
    for tool in (a, b):
        text += turn("user", f"<tool_response>\n{tool[6]}\n</tool_response>")
    done = thinking("The functions gave me the answers.") if think else ""
    return text + turn("assistant", done + a[7].rstrip(".") + ". " + b[7])
