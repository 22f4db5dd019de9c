"""Frequent short words of languages: what tells one language of a script from another."""

# By hand, from grammar: articles, pronouns, prepositions, conjunctions, forms of to be and to have. No apostrophes:
# words are split there. A word that several languages share counts for each by its share.
STOP_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "en": """
            the of and to in is it you that he was for on are with as his they be at this have from or by
            one had not but what all were when we there can an your which their said if do will each about
            how up out them then she many some so these would other into has more her him could my than
            been who its now did where why does please i am should any no our me us don doesn isn
        """,
        "de": """
            der die das und ist nicht ein eine einen einem einer zu in den dem des mit sich auf für von es
            im auch an als wie bei aus nach sie er ich wir ihr sind war hat haben wird werden kann dass
            oder aber wenn nur noch über vor durch mein dein kein keine bitte was wo warum ja nein zum zur
            um man mir dir uns euch schon sehr hier
        """,
        "fr": """
            le la les de des du un une et est en que qui dans pour pas sur ce cette ces il elle nous vous
            ils je tu au aux avec son sa ses mon ma mes plus par ne se sont été être avoir fait mais ou où
            comme si tout bien très leur leurs c d l n s qu j m y a ont sans peut quand entre aussi même
            votre notre
        """,
        "es": """
            el la los las de del un una y es en que por para con no se su sus lo le les al como más pero o
            si mi me te nos muy este esta estos estas ese esa eso son está están fue ser ha han hay porque
            cuando donde qué cómo también sin sobre entre yo tú él ella usted nosotros todo todos ya puede
            nuestro desde hasta
        """,
        "it": """
            il lo la i gli le di del della dei delle un una e è in che per con non si su al alla dal nel
            nella sono come ma o se mi ti ci vi lui lei noi voi loro questo questa questi quello quella
            anche più essere ha hanno ho era perché quando dove cosa chi tutto molto suo sua mio mia c l d
            un dell all nell ogni può così già
        """,
        "pt": """
            o a os as de do da dos das um uma e é em no na nos nas que por para com não se seu sua ao à
            mais mas ou como eu tu você ele ela nós eles este esta isso isto esse essa são está foi ser
            ter tem há também quando onde porque muito já meu minha pelo pela até sem sobre entre pode
            nosso
        """,
        "nl": """
            de het een en van is in dat op te zijn met voor niet aan er om ook als dan maar bij uit nog
            naar door over ze hij zij wij we je jij u ik mijn jouw ons onze deze dit die wat wie waar hoe
            heeft hebben wordt worden kan kunnen zou moet geen was waren want of toen al wel hier tot
        """,
        "sv": """
            och att det är en ett som på i av för med den till inte har om jag du han hon vi de ni man var
            vid från eller men så kan ska skulle sig sin sitt sina där här när vad hur också efter upp ut
            över under mycket mig dig oss blir blev hade denna detta dessa alla bara min din
        """,
        "da": """
            og at det er en et som på i af for med den til ikke har om jeg du han hun vi de man var ved
            fra eller men så kan skal ville sig sin sit sine der her når hvad hvordan også efter op ud
            over under meget mig dig os bliver blev havde denne dette disse alle kun nogle noget nogen
            hvis selv hvem mange hvor være blive hen sådan lidt
        """,
        "nb": """
            og at det er en et som på i av for med den til ikke har om jeg du han hun vi de man var ved
            fra eller men så kan skal ville seg sin sitt sine der her når hva hvordan også etter opp ut
            over under mye meg deg oss blir ble hadde denne dette disse alle bare noen noe hvis selv hvem
            mange hvor være bli hen slik litt
        """,
        "fi": """
            ja on ei se että hän minä sinä me te he oli ovat olla mutta tai kun jos niin myös kuin joka
            mitä missä miten miksi tämä nämä ne niitä hänen minun sinun meidän voi voit voin ovatko olen
            olet olemme sekä vain jo vielä nyt siellä täällä kanssa jälkeen ennen mukaan hyvin kaikki ole
            eivät
        """,
        "pl": """
            i w nie na się z do to że jest jak o co za po ale od czy tak tym przez dla jego jej ich był
            była było są być może ten ta te tego tej który która które już tylko przy gdy kiedy gdzie
            dlaczego ja ty on ona my wy oni mnie ciebie mam ma mają bardzo oraz lub bez pod nad też
            jeszcze
        """,
        "cs": """
            a v je se na že to s z do o ve pro jako za po ale od tak by k i co jak byl byla bylo jsou být
            může ten ta které která který už jen při když kde proč já ty on ona my vy oni mě tě jsem jste
            jsme má mají velmi nebo bez pod nad také ještě není jeho její jejich tento tato
        """,
        "ro": """
            și în de la pe cu nu este un o că din care pentru se ce mai au sunt fost fi dar sau ca prin
            după până fără între acest această aceste acel eu tu el ea noi voi ei lui lor meu mea am ai
            are avem când unde cum cine foarte poate trebuie dacă doar îmi îți să le
        """,
        "tr": """
            ve bir bu da de için ile ne çok daha gibi ama var yok mi mı mu ben sen o biz siz onlar bana
            sana ona benim senin onun olan olarak olduğu değil kadar sonra önce her hiç en şey şu ki veya
            ya nasıl neden nerede kim zaman ise diye göre üzerinde oldu olur vardı
        """,
        "hu": """
            a az és hogy nem is egy ez azt de van volt mint meg csak már ha vagy én te ő mi ti ők nekem
            neked neki minden kell lehet után előtt alatt között mert amikor ahol hogyan miért nagyon még
            most itt ott ezt ezek azok aki ami volna lesz vannak sem
        """,
        "id": """
            yang dan di ke dari ini itu untuk dengan tidak pada adalah saya kamu anda dia kami kita mereka
            akan bisa dapat sudah telah ada atau tetapi jika karena seperti oleh dalam juga lebih sangat
            apa siapa bagaimana mengapa kapan mana hanya masih lagi para sebuah seorang harus
        """,
        "vi": """
            và của là có không được cho trong một các những này đó với người tôi bạn anh chị em chúng họ
            để khi từ đến như nhưng hay hoặc nếu vì thì mà đã đang sẽ rất cũng lại ra vào lên trên dưới
            nào gì ai đâu sao nhiều phải
        """,
        "ru": """
            и в не на я что он с как это то по но к у же за от так из мы вы они она оно был была было были
            есть быть для его ее её их мне меня тебя вас нас все всё если или когда где почему только уже
            еще ещё бы ли до при без очень можно который которая которые этот эта эти нет да
        """,
        "uk": """
            і в не на я що він з як це то по але до у ж за від так із ми ви вони вона воно був була було
            були є бути для його її їх мені мене тебе вас нас все всі якщо або коли де чому тільки вже ще
            би чи при без дуже можна який яка які цей ця ці та немає також
        """,
        "ar": """
            في من على إلى عن أن إن لا ما هذا هذه التي الذي كان كانت هو هي هم أنا أنت نحن مع أو ثم قد كل
            بعد قبل بين عند لم لن كما هل كيف لماذا متى أين حيث يكون ليس غير أي ذلك تلك لكن حتى و يا
        """,
        "fa": """
            و در به از که این است را با برای آن یک خود تا بر هم نیز ما شما من او آنها می شود شد بود باشد
            دارد کرد اما یا اگر چه چرا چگونه کجا هر همه نه نیست دیگر بعد پیش بین روی هستند کنید کنم
        """,
        "hi": """
            है के में की और को से का हैं यह वह पर नहीं कि एक मैं हम आप वे तो भी ही था थी थे हो कर करने लिए
            साथ या जो क्या कैसे क्यों कब कहाँ कौन अपने मेरा मेरे आपके उनके इस उस कुछ बहुत अब तक ने
        """,
    }.items()
}
