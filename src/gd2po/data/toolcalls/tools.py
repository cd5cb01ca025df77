"""The tool catalogue of the built-in task `toolcalls`: signatures, values and the ways people ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ParameterType = Literal["string", "integer", "number", "boolean", "enum", "date"]
JSONScalar = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One typed parameter of a tool.

    Args:
        name: name in the signature and in the call.
        type: what JSON value a call must hold; a date is a string in ISO form.
        values: pool that requests draw from; empty for dates, which are drawn from the calendar.
        wording: how a request says a value, where that is not the value itself. The wording of an optional
            parameter brings its own leading space, because a request may leave it out.
        required: False where a call may omit it.
    """

    name: str
    type: ParameterType
    values: tuple[JSONScalar, ...] = ()
    wording: Mapping[JSONScalar, str] = field(default_factory=dict)
    required: bool = True

    @property
    def signature(self) -> str:
        """`name: type` as the prompt lists it; `?` marks an optional parameter, `|` parts the values of an enum.

        Example:
            >>> Parameter("seat", "enum", ("aisle", "window"), required=False).signature
            'seat?: aisle|window'
        """
        kind = "|".join(str(value) for value in self.values) if self.type == "enum" else self.type
        return f"{self.name}{'' if self.required else '?'}: {kind}"


@dataclass(frozen=True)
class Tool:
    """One tool of the catalogue.

    Args:
        name: name in the signature and in the call.
        domain: what it is about.
        parameters: in the order of the signature.
        phrasings: imperative clauses with one `{slot}` per parameter.
        incomplete: pairs of a clause that leaves a required parameter out and that parameter's name.
        lookalike: name of the tool that is easily mistaken for it.
    """

    name: str
    domain: str
    parameters: tuple[Parameter, ...]
    phrasings: tuple[str, ...]
    incomplete: tuple[tuple[str, str], ...]
    lookalike: str

    @property
    def signature(self) -> str:
        """The tool as one line of the prompt.

        Example:
            >>> TOOLS["set_thermostat"].signature
            'set_thermostat(room: string, degrees: number)'
        """
        return f"{self.name}({', '.join(parameter.signature for parameter in self.parameters)})"

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


CITIES = ("Rome", "Paris", "Berlin", "Madrid", "Vienna", "Oslo", "Lisbon", "Prague", "Dublin", "Athens", "Tokyo",
          "Boston")  # fmt: skip
PEOPLE = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Laura", "Marco", "Nina", "Omar")
RESTAURANTS = ("Blue Lemon", "Casa Verde", "Olive Tree", "Golden Fork", "Bella Vista", "Old Mill")
DISHES = ("pizza", "ramen", "curry", "salad", "sushi", "soup", "fried rice", "tacos")
ROOMS = ("kitchen", "bedroom", "living room", "office", "bathroom", "hallway")
COMPANIES = ("Apple", "Siemens", "Toyota", "Nestle", "Volvo", "Sony")
ARTISTS = ("Adele", "Queen", "Coldplay", "Rihanna", "Nirvana", "Daft Punk")
SHOWS = ("Daily News", "Deep Space", "Night Stories", "History Hour", "Code Talk", "Green Planet")
SUBJECTS = ("the budget", "our meeting", "the invoice", "the contract", "holiday plans", "the new office")
TASKS = ("water the plants", "call the bank", "pay the rent", "clean the car", "feed the cat", "buy milk")
TITLES = ("team lunch", "yoga class", "birthday party", "project review", "book club", "piano lesson")
FILMS = ("Silent River", "Moon Garden", "Last Train", "Paper Kings", "Iron Valley", "Winter Sun")
ITEMS = ("jacket", "sweater", "shirt", "hoodie", "dress", "coat")
TEXTS = ("good morning", "thank you", "see you soon", "happy birthday", "one coffee please", "good night")
CURRENCY_WORDING: Mapping[JSONScalar, str] = {"EUR": "euros", "USD": "dollars", "GBP": "pounds", "JPY": "yen"}
AMOUNTS = tuple(round(5 + 0.5 * step, 1) for step in range(190))
DEGREES = tuple(round(15 + 0.5 * step, 1) for step in range(20))
DISTANCES = tuple(round(2 + 0.1 * step, 1) for step in range(180))
SPEEDS = (0.8, 1.2, 1.5, 1.8, 2.5)


def _date(name: str) -> Parameter:
    return Parameter(name, "date")


def _text(name: str, values: tuple[str, ...]) -> Parameter:
    return Parameter(name, "string", values)


def _integer(name: str, low: int, high: int) -> Parameter:
    return Parameter(name, "integer", tuple(range(low, high + 1)))


def _number(name: str, values: tuple[float, ...]) -> Parameter:
    return Parameter(name, "number", values)


def _enum(name: str, wording: Mapping[JSONScalar, str], *, required: bool = True) -> Parameter:
    return Parameter(name, "enum", tuple(wording), wording, required)


def _flag(name: str, yes: str, no: str, *, required: bool = False) -> Parameter:
    return Parameter(name, "boolean", (True, False), {True: yes, False: no}, required)


_CATALOGUE = (
    Tool("book_flight", "travel",
         (_text("origin", CITIES), _text("destination", CITIES), _date("day"),
          _enum("cabin", {"economy": " in economy", "business": " in business class", "first": " in first class"},
                required=False)),
         ("book a flight from {origin} to {destination} on {day}{cabin}",
          "get me on a plane from {origin} to {destination} on {day}{cabin}",
          "reserve a flight{cabin} to {destination} from {origin} for {day}"),
         (("book a flight to {destination} on {day}", "origin"),
          ("book a flight from {origin} to {destination}", "day")),
         "book_train"),
    Tool("book_train", "travel",
         (_text("origin", CITIES), _text("destination", CITIES), _date("day"),
          _flag("quiet", " in the quiet car", " but not in the quiet car")),
         ("book a train from {origin} to {destination} on {day}{quiet}",
          "get me a train ticket to {destination} from {origin} for {day}{quiet}",
          "reserve a seat on the train from {origin} to {destination} on {day}{quiet}"),
         (("book a train from {origin} on {day}", "destination"),
          ("get me a train ticket to {destination}", "day")),
         "book_flight"),
    Tool("book_hotel", "travel",
         (_text("city", CITIES), _enum("room", {"single": "single", "double": "double", "suite": "suite"}),
          _integer("nights", 2, 14), _date("check_in")),
         ("book a {room} room in a hotel in {city} for {nights} nights from {check_in}",
          "reserve a hotel in {city} for {nights} nights starting {check_in}, room type {room}",
          "find me a {room} hotel room in {city} on {check_in} for {nights} nights"),
         (("book a {room} room in a hotel in {city}", "nights"),
          ("reserve a hotel in {city} for {nights} nights starting {check_in}", "room")),
         "book_hostel"),
    Tool("book_hostel", "travel",
         (_text("city", CITIES), _integer("beds", 2, 9), _date("check_in")),
         ("book {beds} beds in a hostel in {city} from {check_in}",
          "reserve a hostel in {city} with {beds} beds for {check_in}",
          "get us {beds} hostel beds in {city} on {check_in}"),
         (("book a hostel in {city} from {check_in}", "beds"),
          ("reserve {beds} hostel beds for {check_in}", "city")),
         "book_hotel"),
    Tool("rent_car", "travel",
         (_text("city", CITIES), _enum("model", {"compact": "compact car", "van": "van", "suv": "SUV"}),
          _integer("days", 2, 20), _flag("insured", " with insurance", " without insurance")),
         ("rent a {model} in {city} for {days} days{insured}",
          "hire a {model}{insured} for {days} days in {city}",
          "get me a rental {model} in {city} for {days} days{insured}"),
         (("rent a {model} in {city}", "days"), ("hire a {model} for {days} days", "city")),
         "rent_bike"),
    Tool("rent_bike", "travel",
         (_text("city", CITIES), _integer("days", 2, 9),
          _flag("electric", ", an electric one", ", not an electric one")),
         ("rent a bike in {city} for {days} days{electric}",
          "hire a bicycle for {days} days in {city}{electric}",
          "get me a bike in {city} for {days} days{electric}"),
         (("rent a bike in {city}", "days"), ("hire a bicycle for {days} days", "city")),
         "rent_car"),
    Tool("book_table", "food",
         (_text("restaurant", RESTAURANTS), _integer("people", 2, 12), _date("day"),
          _flag("outdoor", " outside", " inside")),
         ("book a table for {people} at {restaurant} on {day}{outdoor}",
          "reserve a table{outdoor} at {restaurant} for {people} people on {day}",
          "get us a table for {people} on {day} at {restaurant}{outdoor}"),
         (("book a table at {restaurant} on {day}", "people"),
          ("reserve a table for {people} on {day}", "restaurant")),
         "order_food"),
    Tool("order_food", "food",
         (_text("restaurant", RESTAURANTS), _text("dish", DISHES), _integer("portions", 2, 9),
          _flag("spicy", ", make it spicy", ", not spicy")),
         ("order {portions} portions of {dish} from {restaurant}{spicy}",
          "get {portions} servings of {dish} delivered from {restaurant}{spicy}",
          "have {restaurant} deliver {portions} times {dish}{spicy}"),
         (("order {portions} portions of {dish}", "restaurant"),
          ("order some {dish} from {restaurant}", "portions")),
         "book_table"),
    Tool("get_weather", "weather", (_text("city", CITIES), _date("day")),
         ("check the weather in {city} on {day}", "tell me the weather for {day} in {city}",
          "get the forecast for {city} on {day}"),
         (("check the weather on {day}", "city"), ("tell me the weather in {city}", "day")),
         "get_air_quality"),
    Tool("get_air_quality", "weather",
         (_text("city", CITIES), _date("day"), _flag("detailed", " in detail", " without details")),
         ("check the air quality in {city} on {day}{detailed}",
          "tell me how clean the air in {city} is on {day}{detailed}",
          "get the air quality for {day} in {city}{detailed}"),
         (("check the air quality on {day}", "city"), ("tell me how clean the air in {city} is", "day")),
         "get_weather"),
    Tool("convert_currency", "finance",
         (_number("amount", AMOUNTS), _enum("source", CURRENCY_WORDING), _enum("target", CURRENCY_WORDING)),
         ("convert {amount} {source} to {target}", "change {amount} {source} into {target}",
          "tell me what {amount} {source} are in {target}"),
         (("convert {amount} {source}", "target"), ("change some {source} into {target}", "amount")),
         "send_money"),
    Tool("send_money", "finance",
         (_text("recipient", PEOPLE), _number("amount", AMOUNTS), _enum("currency", CURRENCY_WORDING),
          _flag("instant", " right now", " by normal transfer")),
         ("send {amount} {currency} to {recipient}{instant}",
          "transfer {amount} {currency} to {recipient}{instant}",
          "pay {recipient} {amount} {currency}{instant}"),
         (("send {amount} {currency}", "recipient"), ("transfer some {currency} to {recipient}", "amount")),
         "convert_currency"),
    Tool("buy_stock", "finance",
         (_text("company", COMPANIES), _integer("shares", 2, 90), _number("limit", AMOUNTS)),
         ("buy {shares} shares of {company} at no more than {limit}",
          "get me {shares} {company} shares for at most {limit} each",
          "purchase {shares} shares of {company} with a limit of {limit}"),
         (("buy {shares} shares of {company}", "limit"),
          ("buy shares of {company} at no more than {limit}", "shares")),
         "sell_stock"),
    Tool("sell_stock", "finance",
         (_text("company", COMPANIES), _integer("shares", 2, 90), _date("day")),
         ("sell {shares} shares of {company} on {day}", "sell my {shares} {company} shares on {day}",
          "get rid of {shares} shares of {company} on {day}"),
         (("sell my {company} shares on {day}", "shares"), ("sell {shares} shares of {company}", "day")),
         "buy_stock"),
    Tool("set_thermostat", "home", (_text("room", ROOMS), _number("degrees", DEGREES)),
         ("set the {room} to {degrees} degrees", "heat the {room} to {degrees} degrees",
          "make it {degrees} degrees in the {room}"),
         (("set the thermostat in the {room}", "degrees"), ("set the heating to {degrees} degrees", "room")),
         "set_lights"),
    Tool("set_lights", "home",
         (_text("room", ROOMS), _integer("brightness", 5, 95),
          _enum("color", {"white": " in white", "red": " in red", "blue": " in blue", "green": " in green"},
                required=False)),
         ("set the {room} lights to {brightness} percent{color}",
          "dim the lights in the {room} to {brightness} percent{color}",
          "put the lights in the {room} at {brightness} percent{color}"),
         (("dim the lights in the {room}", "brightness"), ("set the lights to {brightness} percent", "room")),
         "set_thermostat"),
    Tool("set_lock", "home",
         (_enum("door", {"front": "front", "back": "back", "garage": "garage"}),
          _flag("locked", "lock", "unlock", required=True)),
         ("{locked} the {door} door", "{locked} the door at the {door}",
          "make sure to {locked} the {door} door"),
         (("{locked} the door", "door"),),
         "set_alarm"),
    Tool("set_alarm", "home",
         (_enum("zone", {"house": "house", "garage": "garage", "garden": "garden"}),
          _flag("armed", "arm", "disarm", required=True), _integer("delay", 5, 60)),
         ("{armed} the {zone} alarm in {delay} seconds",
          "{armed} the alarm of the {zone} with a delay of {delay} seconds",
          "wait {delay} seconds and {armed} the {zone} alarm"),
         (("{armed} the alarm in {delay} seconds", "zone"),
          ("{armed} the {zone} alarm with a delay", "delay")),
         "set_lock"),
    Tool("play_music", "media",
         (_text("artist", ARTISTS), _integer("volume", 2, 30),
          _flag("shuffle", ", shuffled", ", not shuffled")),
         ("play {artist} at volume {volume}{shuffle}",
          "put on some songs by {artist} at volume {volume}{shuffle}",
          "start music by {artist} with the volume at {volume}{shuffle}"),
         (("play some music at volume {volume}", "artist"), ("put on some songs by {artist}", "volume")),
         "play_podcast"),
    Tool("play_podcast", "media", (_text("show", SHOWS), _number("speed", SPEEDS)),
         ("play the podcast {show} at {speed} speed", "put on {show} at {speed} times the normal speed",
          "start an episode of {show} at speed {speed}"),
         (("play a podcast at {speed} speed", "show"), ("play the podcast {show}", "speed")),
         "play_music"),
    Tool("send_email", "messages",
         (_text("recipient", PEOPLE), _text("subject", SUBJECTS),
          _flag("urgent", ", it is urgent", ", it is not urgent")),
         ("email {recipient} about {subject}{urgent}", "send an email to {recipient} about {subject}{urgent}",
          "write {recipient} an email on {subject}{urgent}"),
         (("send an email about {subject}", "recipient"), ("email {recipient}", "subject")),
         "send_letter"),
    Tool("send_letter", "messages",
         (_text("recipient", PEOPLE), _text("subject", SUBJECTS), _date("day")),
         ("post a letter to {recipient} about {subject} on {day}",
          "send {recipient} a letter about {subject} on {day}",
          "mail {recipient} a paper letter on {subject} on {day}"),
         (("post a letter about {subject} on {day}", "recipient"),
          ("send {recipient} a letter about {subject}", "day")),
         "send_email"),
    Tool("add_event", "calendar",
         (_text("title", TITLES), _date("day"), _flag("private", " as private", " as public")),
         ("add {title} to my calendar on {day}{private}", "put the {title} on {day} in my calendar{private}",
          "schedule the {title} for {day}{private}"),
         (("add {title} to my calendar", "day"), ("put something on {day} in my calendar", "title")),
         "set_reminder"),
    Tool("set_reminder", "calendar", (_text("task", TASKS), _date("day")),
         ("remind me to {task} on {day}", "set a reminder for {day} to {task}",
          "let me know on {day} that I have to {task}"),
         (("remind me to {task}", "day"), ("set a reminder for {day}", "task")),
         "add_event"),
    Tool("log_run", "health", (_number("kilometers", DISTANCES), _date("day")),
         ("log a run of {kilometers} kilometers on {day}", "note that I ran {kilometers} kilometers on {day}",
          "save my {kilometers} kilometer run from {day}"),
         (("log a run on {day}", "kilometers"), ("note that I ran {kilometers} kilometers", "day")),
         "log_meal"),
    Tool("log_meal", "health",
         (_text("dish", DISHES), _integer("calories", 110, 890),
          _enum("meal", {"breakfast": "breakfast", "lunch": "lunch", "dinner": "dinner"})),
         ("log {dish} with {calories} calories for {meal}",
          "note that I had {dish} for {meal}, {calories} calories",
          "save my {meal} of {dish} at {calories} calories"),
         (("log {dish} for {meal}", "calories"), ("log {dish} with {calories} calories", "meal")),
         "log_run"),
    Tool("buy_tickets", "shopping",
         (_text("film", FILMS), _integer("seats", 2, 12), _date("day")),
         ("buy {seats} tickets for {film} on {day}", "get {seats} seats for the film {film} on {day}",
          "reserve {seats} cinema seats on {day} for {film}"),
         (("buy {seats} cinema tickets on {day}", "film"), ("buy tickets for {film} on {day}", "seats")),
         "buy_clothes"),
    Tool("buy_clothes", "shopping",
         (_text("item", ITEMS), _enum("size", {"small": "small", "medium": "medium", "large": "large"}),
          _number("budget", AMOUNTS)),
         ("buy a {size} {item} for up to {budget}",
          "order a {item} in size {size} that costs at most {budget}",
          "find me a {size} {item} with a budget of {budget}"),
         (("buy a {item} for up to {budget}", "size"), ("order a {size} {item}", "budget")),
         "buy_tickets"),
    Tool("translate", "language",
         (_text("text", TEXTS), _enum("language", {"french": "French", "spanish": "Spanish", "german": "German"}),
          _flag("formal", " formally", " informally")),
         ("translate {text} into {language}{formal}", "tell me how to say {text} in {language}{formal}",
          "put the words {text} into {language}{formal}"),
         (("translate {text}", "language"), ("translate something into {language}", "text")),
         "send_email"),
)  # fmt: skip

TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in _CATALOGUE}
"""Every tool by name, in the catalogue's order."""

SMALL_TALK: tuple[tuple[str, str], ...] = (
    ("hello there", "Hello! How can I help you?"),
    ("good morning to you", "Good morning! How can I help you?"),
    ("how are you today", "I am fine, thank you for asking."),
    ("thanks, that was great", "You are welcome!"),
    ("thank you so much", "You are welcome!"),
    ("what is your name", "I am your assistant."),
    ("tell me a joke", "Why did the chicken cross the road? To get to the other side."),
    ("I am a bit tired today", "I am sorry to hear that. Take a rest."),
    ("you are very kind", "Thank you, that is nice to hear."),
    ("what can you do", "I can use the tools on my list for you."),
    ("goodbye for now", "Goodbye and take care!"),
    ("what a lovely day", "Yes, it is a lovely day!"),
)
"""Remarks that need no tool, each with its answer."""

ERRANDS: tuple[str, ...] = (
    "water my plants",
    "wash my car",
    "walk the dog",
    "feed the cat",
    "paint the fence",
    "iron my shirts",
    "clean the windows",
    "fix the leaking tap",
    "sharpen the kitchen knives",
    "file my tax return",
    "mow the lawn",
    "print my passport photo",
)
"""Requests that no tool of the catalogue can serve."""
